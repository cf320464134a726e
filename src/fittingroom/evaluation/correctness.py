"""Which images the fits of one recipe have right: bool (seeds, n), and what is counted of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError


def check_correct(correct: NDArray[np.bool_]) -> None:
    """Raise InputError unless `correct` is a bool array (seeds >= 1, n >= 1)."""
    if correct.ndim != 2 or correct.dtype != np.bool_ or 0 in correct.shape:
        raise InputError(
            f"correctness is {correct.dtype} of shape {correct.shape}; give a bool array "
            "(seeds, images) with at least one seed and one image."
        )


def integer_variance(values: NDArray[np.int64]) -> float:
    """Unbiased variance of whole numbers, exact: no spread gives 0, in any order the same."""
    n, total, squares = len(values), int(values.sum()), int(values @ values)
    return (n * squares - total * total) / (n * (n - 1))


def mean_variance(
    values: NDArray[np.int64], copies: NDArray[np.int64] | None = None
) -> tuple[float, int]:
    """Variance that the draw of images gives to the mean of `values` (n,), and how many were drawn.

    `copies` (n,) numbers the images: near-copies of one have one number, and are drawn together.
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
    """Unbiased variance over seeds of the accuracy; 0 for one seed. `correct` is (seeds, n)."""
    seeds, n = correct.shape
    return integer_variance(correct.sum(axis=1, dtype=np.int64)) / n**2 if seeds > 1 else 0.0
