"""Variances of correctness arrays, bool (seeds, n): which images each fit classifies correctly."""

from __future__ import annotations

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


def seed_variance(correct: NDArray[np.bool_]) -> float:
    """The unbiased variance of the accuracy over seeds; 0 for one seed. `correct` is (seeds, n)."""
    n_seeds, n = correct.shape
    return integer_variance(correct.sum(axis=1, dtype=np.int64)) / n**2 if n_seeds > 1 else 0.0
