"""Prediction sets: they hold the true class with a chosen probability (split conformal prediction).

Sadinle, Lei and Wasserman 2019, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels",
Journal of the American Statistical Association 114:223-234: with one threshold for all images, or
with one for each class, so that each class gets the coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError

#: Share of images whose set holds the true class, unless told otherwise.
COVERAGE = 0.9
#: Probabilities that differ by no more are equal: float32 rounds, and votes of neighbours tie.
_EQUAL = 1e-6


@dataclass(frozen=True, eq=False)
class SetCoverage:
    """How often prediction sets hold the true class.

    Attributes
    ----------
    coverage : over all images
    by_class : (classes,) over the images of each; NaN of a class without images
    mean_size : classes in a set
    """

    coverage: float
    by_class: NDArray[np.float64]
    mean_size: float

    def to_dict(self) -> dict[str, Any]:
        by_class = [None if np.isnan(share) else float(share) for share in self.by_class]
        return {"coverage": self.coverage, "by_class": by_class, "mean_size": self.mean_size}


def conformal_quantile(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], coverage: float = COVERAGE
) -> float:
    """How improbable a class may be and still belong to a set: a threshold on 1 - p.

    It is the `conformal_threshold` of 1 - p(true class) over images that nothing was learned from,
    so that a new image like them has its true class in its set with at least that probability.

    Parameters
    ----------
    probabilities : (n, classes)
    labels : (n,) columns of `probabilities`
    coverage : in 0 … 1, both left out

    Returns
    -------
    in 0 … 1; 1, which lets every class in, where n is too small for the coverage

    Raises
    ------
    InputError : another coverage, or no images
    """
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return conformal_threshold(1 - of_truth, coverage)


def class_quantiles(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], coverage: float = COVERAGE
) -> NDArray[np.float64] | None:
    """The same for each class by its own images, (classes,): then each class gets the coverage.

    None where a class has too few images for that: 9 are needed for nine of ten.

    Raises InputError for another coverage, or no images.
    """
    _check(coverage, len(labels))
    own = [labels == k for k in range(probabilities.shape[1])]
    if min(int(each.sum()) for each in own) < math.ceil(coverage / (1 - coverage) - _EQUAL):
        return None
    return np.array([conformal_quantile(probabilities[k], labels[k], coverage) for k in own])


def conformal_threshold(scores: NDArray[np.floating], share: float) -> float:
    """What a new image's score is at most, with that probability.

    The ⌈(n + 1) · share⌉-th smallest of the scores, in 0 … 1, of n images like it that nothing was
    learned from; 1 where n is too small for that share.

    Raises
    ------
    InputError : a share outside 0 … 1, or no scores
    """
    n = len(scores)
    _check(share, n)
    place = math.ceil((n + 1) * share - _EQUAL)
    if place > n:
        return 1.0
    return float(np.partition(np.asarray(scores, np.float64), place - 1)[place - 1])


def _check(share: float, n: int) -> None:
    if not 0 < share < 1 or n == 0:
        raise InputError(f"a share of {share} of {n} scores makes no sense.")


def prediction_sets(
    probabilities: NDArray[np.floating], quantile: float | NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which classes belong to each image's set, (n, classes); the most probable always does.

    `quantile` is one for all classes, or (classes,).
    """
    sets = 1 - probabilities.astype(np.float64) <= np.asarray(quantile) + _EQUAL
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    return np.asarray(sets)


def set_coverage(sets: NDArray[np.bool_], labels: NDArray[np.integer]) -> SetCoverage:
    """How often sets (n, classes) hold the labels (n,)."""
    held = sets[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=sets.shape[1])
    shares = np.full(len(counts), np.nan)
    np.divide(np.bincount(labels, held, len(counts)), counts, out=shares, where=counts > 0)
    return SetCoverage(
        coverage=float(held.mean()), by_class=shares, mean_size=float(sets.sum(axis=1).mean())
    )
