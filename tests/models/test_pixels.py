from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from fittingroom.errors import InputError
from fittingroom.models.pixels import check_pixels, check_pixels_and_labels

IMAGES = np.random.RandomState(0).randint(0, 256, (4, 8, 8)).astype(np.uint8)
ROWS = IMAGES.reshape(4, 64)


def check(X: Any) -> np.ndarray:
    return check_pixels(BaseEstimator(), X, reset=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_numbers_keep_their_type(dtype: type) -> None:
    X: np.ndarray = ROWS.astype(dtype)
    result = check(X)
    assert result.dtype == dtype
    assert np.shares_memory(result, X)


def test_images_become_rows_without_a_copy() -> None:
    result = check(IMAGES)
    np.testing.assert_array_equal(result, ROWS)
    assert np.shares_memory(result, IMAGES)
    assert check(ROWS.tolist()).shape == (4, 64)


@pytest.mark.parametrize(
    "scaled",
    [
        ROWS / 255,
        ROWS / 127.5 - 1,
        (ROWS > 99).astype(np.float32),
        (ROWS > 99).astype(np.uint8),  # floats in 0..1 that were cast
        ROWS > 99,
    ],
)
def test_scaled_images_are_refused_in_one_sentence(scaled: np.ndarray) -> None:
    kind = "floats" if scaled.dtype.kind == "f" else "integers"
    with pytest.raises(
        InputError, match=rf"0\.\.255, but the largest of these {kind} is [01]"
    ) as e:
        check(scaled)
    assert "\n" not in str(e.value)
    with pytest.raises(InputError):
        check_pixels_and_labels(BaseEstimator(), scaled, [0, 1, 0, 1])


OTHER = {
    "standardised": ((ROWS - ROWS.mean()) / ROWS.std(), r"from -\d.* standardising"),
    "0..16": (ROWS // 16, r"from 0 to 15; multiply them by 255 / 15"),
    "16 bits": (ROWS.astype(np.uint16) * 257, r"from \d+ to 65\d+; multiply them by 255 / 65"),
}


@pytest.mark.parametrize("scale", OTHER)
def test_another_scale_is_refused_if_it_matters(scale: str) -> None:
    X, complaint = OTHER[scale]
    with pytest.raises(InputError, match=complaint):
        check(X)
    assert check_pixels(BaseEstimator(), X, reset=True, any_scale=True).shape == (4, 64)


def test_standardised_images_are_predicted_if_the_fit_had_such() -> None:
    standardised = OTHER["standardised"][0]
    estimator = BaseEstimator()
    check_pixels(estimator, standardised, reset=True, any_scale=True)
    check_pixels(estimator, standardised, reset=False, any_scale=True)
    check_pixels(estimator, ROWS, reset=True, any_scale=True)
    with pytest.raises(InputError, match="like those of fit"):
        check_pixels(estimator, standardised, reset=False, any_scale=True)


@pytest.mark.parametrize("value", [0, 1, 200])
def test_images_of_a_single_value_are_refused(value: int) -> None:
    X = np.full((2, 64), value)
    with pytest.raises(InputError, match=f"every pixel of these images is {value}"):
        check(X)


@pytest.mark.parametrize(
    "X",
    [
        ROWS.astype(float) - 128,  # as wide a range as pixels have, such as a projection of them
        ROWS // 2,
        np.where(ROWS > 99, 255, 0),
        np.random.RandomState(0).rand(5, 10),  # not images
    ],
)
def test_numbers_that_may_be_unscaled_are_accepted(X: np.ndarray) -> None:
    np.testing.assert_array_equal(check(X), X)


def test_images_to_predict_may_be_dark() -> None:
    estimator = BaseEstimator()
    checked_images = check_pixels(estimator, ROWS, reset=True)
    for dark in (checked_images * 0, checked_images // 100, (checked_images > 99).astype(np.uint8)):
        check_pixels(estimator, dark, reset=False)
    with pytest.raises(InputError, match="largest of these integers is 1"):
        check_pixels(estimator, np.repeat(ROWS > 99, 3, axis=0), reset=False)


def test_a_single_channel_and_lists_are_images_too() -> None:
    for X in (IMAGES[..., None], IMAGES[:, None], IMAGES.tolist(), list(IMAGES)):
        np.testing.assert_array_equal(check(X), ROWS)
    with pytest.raises(InputError, match="convert them to grey"):
        check(np.repeat(IMAGES[..., None], 3, axis=-1))


def test_a_single_image_is_distinguished_from_an_array_of_images() -> None:
    estimator = BaseEstimator()
    check_pixels(estimator, IMAGES, reset=True)
    with pytest.raises(InputError, match=r"one image of 8×8, .* image\[None\]"):
        check_pixels(estimator, IMAGES[0], reset=False)


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
def test_anything_but_a_matrix_of_numbers_is_refused(X: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        check(X)


def test_the_width_is_that_of_fit() -> None:
    estimator = BaseEstimator()
    check_pixels(estimator, ROWS, reset=True)
    check_pixels(estimator, IMAGES, reset=False)
    with pytest.raises(ValueError, match="expecting 64 features"):
        check_pixels(estimator, ROWS[:, :63], reset=False)


@pytest.mark.parametrize(
    "y", [None, [0, 1, 2], [0.5, 1.5, 2.5, 3.5], [[0, 1]] * 4, [0, 1, np.nan, 1]]
)
def test_invalid_labels_are_refused(y: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_pixels_and_labels(BaseEstimator(), ROWS, y)


def test_labels_may_be_strings() -> None:
    _, y = check_pixels_and_labels(BaseEstimator(), ROWS, ["bag", "coat", "bag", "coat"])
    assert y.tolist() == ["bag", "coat", "bag", "coat"]
