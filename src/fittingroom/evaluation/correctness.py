"""Variances of correctness arrays, bool (seeds, n): which images each fit classifies correctly."""

from __future__ import annotations

import statistics
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError


def check_correct(correct: NDArray[np.bool_]) -> None:
    """Raise InputError unless `correct` is a bool array (seeds >= 1, n >= 1)."""
    if correct.ndim != 2 or correct.dtype != np.bool_ or 0 in correct.shape:
        raise InputError(
            f"correctness is an array of {correct.dtype}, shape {correct.shape}; give a bool array "
            "(seeds, images) with at least one seed and one image."
        )


def integer_variance(values: NDArray[np.int64]) -> float:
    """The unbiased variance of two or more integers (n,).

    Unlike np.var it sums exactly: equal numbers give 0, and the order makes no difference.
    """
    n, total, squares = len(values), int(values.sum()), int(values @ values)
    return (n * squares - total * total) / (n * (n - 1))


def class_weights(classes: NDArray[np.integer]) -> NDArray[np.float64]:
    """The weight of each image, (n,), with which every class counts alike; 1 on average."""
    _, index, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = len(classes) / (len(sizes) * sizes[index])
    return weights


def mean_variance(
    values: NDArray[np.int64], copies: NDArray[np.int64] | None = None
) -> tuple[float, int]:
    """The variance of the mean of `values` over draws of the images, and the number of draws.

    Copies of an image are drawn together, so the mean is a ratio estimator (Cochran 1977, "Sampling
    Techniques", chapter 6).

    Parameters
    ----------
    values : (n,) one per image
    copies : (n,) the same number for images that are copies of one another; None if none are
    """
    n = len(values)
    if copies is None:
        return (integer_variance(values) / n if n > 1 else 0.0), n
    sums, sizes = np.bincount(copies, values), np.bincount(copies)
    sums, sizes = sums[sizes > 0], sizes[sizes > 0]
    drawn = len(sizes)
    if drawn == 1:
        return 0.0, 1
    residuals = sums - sizes * values.mean()
    return float(residuals @ residuals) * drawn / (drawn - 1) / n**2, drawn


class Draws(NamedTuple):
    """The images of each of k classes, copies of one image as one draw.

    Attributes
    ----------
    label : (n,) the class of each image, from 0
    images : (k,) how many
    draw : (n,) the draw of each image, from 0
    of : (m,) the class of each draw
    drawn : (k,) how many draws
    """

    label: NDArray[np.intp]
    images: NDArray[np.intp]
    draw: NDArray[np.intp]
    of: NDArray[np.intp]
    drawn: NDArray[np.intp]

    @classmethod
    def by_class(
        cls, classes: NDArray[np.integer], copies: NDArray[np.int64] | None = None
    ) -> Draws:
        """The draws of images with these `classes`, (n,), and `copies` as in `mean_variance`."""
        _, index, images = np.unique(classes, return_inverse=True, return_counts=True)
        if copies is None:
            return cls(index, images, np.arange(len(index)), index, images)
        both = np.stack([index, copies])
        of, draw = np.unique(both, axis=1, return_inverse=True)
        return cls(index, images, draw.ravel(), of[0], np.bincount(of[0]))


def mean_over_images(
    values: NDArray[np.int64], scale: int, classes: NDArray[np.integer] | None = None
) -> float:
    """The mean of `values` / `scale`, (n,); with `classes`, (n,), that of the classes' means."""
    if classes is None:
        return int(values.sum()) / (len(values) * scale)
    _, index, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    means = np.bincount(index, values) / (sizes * scale)  # (k,)
    return float(np.mean(means))


def seed_variance(correct: NDArray[np.bool_], classes: NDArray[np.integer] | None = None) -> float:
    """The unbiased variance of the accuracy over seeds; 0 for one seed.

    `correct` is (seeds, n), and `classes` as in `mean_over_images`.
    """
    n_seeds, n = correct.shape
    if n_seeds == 1:
        return 0.0
    if classes is not None:
        by_seed = [mean_over_images(right.astype(np.int64), 1, classes) for right in correct]
        return statistics.variance(by_seed)
    return float(integer_variance(correct.sum(axis=1, dtype=np.int64)) / n**2)
