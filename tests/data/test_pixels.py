"""Pixels and labels as people have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fittingroom.data.pixels import images_of, labels_of, number_labels
from fittingroom.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 4, 4), dtype=np.uint8)
WIDE = RNG.integers(0, 256, (5, 3, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    "values",
    [
        IMAGES,
        IMAGES.tolist(),
        IMAGES[..., None],
        IMAGES[:, None],
        IMAGES.reshape(5, 16),
        IMAGES.astype(np.int16),
        IMAGES.astype(np.float64),
        IMAGES / 255,
        (IMAGES / 255).astype(np.float32),
        (IMAGES / 255).astype(np.float16),
        torch.from_numpy(IMAGES)[:, None] / 255,
        pd.DataFrame(IMAGES.reshape(5, 16)),
    ],
    ids=lambda values: f"{type(values).__name__} {getattr(values, 'dtype', '')}",
)
def test_images_in_any_usual_form_are_the_same_bytes(values: Any) -> None:
    images = images_of(values)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, IMAGES)


def test_bytes_are_not_copied() -> None:
    assert np.shares_memory(images_of(WIDE[..., None]), WIDE)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (IMAGES > 9, "not bool; multiply them by 255"),
        (None, "not of shape"),
        (np.full((2, 4, 4), "a"), "not <U1; give an array of numbers"),
        ([[[1, 2], [3]]], "images can't be converted to an array"),
        (IMAGES / 50 - 2, "pixels go from 0 to 255; stretch them to 0..255 and round them"),
        (IMAGES.astype(int) + 200, r"values from \d+ to \d+; pixels go from 0 to 255\.$"),
        (IMAGES * 0.37, "floats that aren't whole numbers; .* before they were standardised"),
        (RNG.random((2, 4, 4)), "floats that aren't multiples of 1/255"),
        (np.full((2, 4, 4), np.nan), "aren't finite"),
        (np.stack([IMAGES] * 3, -1), r"not of shape \(5, 4, 4, 3\); convert colour images to grey"),
        (WIDE.reshape(5, 12), r"reshape\(-1, height, width\)"),
        (np.zeros(5), "these look like labels"),
        (np.zeros((5, 2, 2, 2)), "give one grey image for each label"),
    ],
)
def test_what_isnt_plainly_an_image_is_refused(values: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        images_of(values)


@pytest.mark.parametrize(
    "values",
    [
        [2, 0, 1],
        np.array([2, 0, 1], np.uint8),
        np.array([[2], [0], [1]]),
        [2.0, 0.0, 1.0],
        np.eye(3)[[2, 0, 1]],
        np.eye(3, dtype=bool)[[2, 0, 1]],
        pd.Series([2, 0, 1]),
        torch.tensor([2, 0, 1]),
    ],
    ids=str,
)
def test_labels_in_any_usual_form_are_the_same_numbers(values: Any) -> None:
    labels = labels_of(values)
    assert labels.dtype == np.int64
    assert labels.tolist() == [2, 0, 1]


def test_text_stays_text() -> None:
    for values in (["b", "a"], pd.Series(["b", "a"]), np.array(["b", "a"], object)):
        assert labels_of(values).tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([0.5, 1], "whole numbers or text"),
        ([np.nan, 1], r"whole numbers below 2\*\*53"),
        ([1e30, 1], r"whole numbers below 2\*\*53"),
        (np.array([2**64 - 1, 1], np.uint64), r"whole numbers below 2\*\*53"),
        ([None, "a"], "whole numbers or text"),
        ([[1, 1], [0, 1]], "rows must be one-hot"),
        (np.zeros((3, 2), [("a", int)]), "rows must be one-hot"),
        ([[0.9, 0.1], [0, 1]], "rows must be one-hot"),
        (IMAGES, "the order is training images, training labels, test images, test labels"),
    ],
)
def test_what_isnt_plainly_a_label_is_refused(values: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        labels_of(values)


def test_numbers_sort_as_numbers() -> None:
    (first, second), names = number_labels(labels_of([10, 9]), labels_of([100, 9]))
    assert names == ("9", "10", "100")
    assert (first.tolist(), second.tolist()) == ([1, 0], [2, 0])
