from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from fittingroom.errors import InputError
from fittingroom.models.pixels import check_pixels, check_pixels_and_labels

IMAGES = np.random.RandomState(0).randint(0, 256, (4, 8, 8)).astype(np.uint8)
ROWS = IMAGES.reshape(4, 64)


def checked(X: Any) -> np.ndarray:
    return check_pixels(BaseEstimator(), X, reset=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_numbers_keep_their_type(dtype: type) -> None:
    X = ROWS.astype(dtype)
    got = checked(X)
    assert got.dtype == dtype
    assert np.shares_memory(got, X)


def test_images_become_rows_without_a_copy() -> None:
    got = checked(IMAGES)
    np.testing.assert_array_equal(got, ROWS)
    assert np.shares_memory(got, IMAGES)
    assert checked(ROWS.tolist()).shape == (4, 64)


@pytest.mark.parametrize("scaled", [ROWS / 255, ROWS / 127.5 - 1, (ROWS > 99).astype(np.float32)])
def test_scaled_images_are_refused_in_one_sentence(scaled: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"0\.\.255, and the largest of these floats is [01]") as e:
        checked(scaled)
    assert "\n" not in str(e.value)
    with pytest.raises(InputError):
        check_pixels_and_labels(BaseEstimator(), scaled, [0, 1, 0, 1])


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, 64)),  # black at either scale
        np.ones((2, 64), np.uint8),  # dark, but whole numbers can't have been divided
        np.full((2, 64), 1.5),
        np.random.RandomState(0).rand(5, 10),  # no image
    ],
)
def test_what_needn_t_have_been_scaled_is_taken(X: np.ndarray) -> None:
    np.testing.assert_array_equal(checked(X), X)


@pytest.mark.parametrize(
    "X",
    [
        np.full((2, 64), np.nan),
        np.full((2, 64), np.inf),
        np.zeros((0, 64)),
        np.zeros((0, 8, 8)),
        np.zeros(64),
        np.zeros((2, 2, 4, 4)),
        [["a"] * 64] * 2,
    ],
)
def test_what_is_no_matrix_of_numbers_is_refused(X: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        checked(X)


def test_the_width_is_that_of_fit() -> None:
    estimator = BaseEstimator()
    check_pixels(estimator, ROWS, reset=True)
    check_pixels(estimator, IMAGES, reset=False)
    with pytest.raises(ValueError, match="expecting 64 features"):
        check_pixels(estimator, ROWS[:, :63], reset=False)


@pytest.mark.parametrize(
    "y", [None, [0, 1, 2], [0.5, 1.5, 2.5, 3.5], [[0, 1]] * 4, [0, 1, np.nan, 1]]
)
def test_labels_that_are_none_are_refused(y: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_pixels_and_labels(BaseEstimator(), ROWS, y)


def test_labels_may_be_strings() -> None:
    _, y = check_pixels_and_labels(BaseEstimator(), ROWS, ["bag", "coat", "bag", "coat"])
    assert y.tolist() == ["bag", "coat", "bag", "coat"]
