"""Prediction sets that contain the true class with a given probability: split conformal prediction.

Sadinle, Lei and Wasserman 2019, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels",
Journal of the American Statistical Association 114:223-234. There is one threshold for all images,
or one per class, so that every class reaches the coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError

#: The default share of images whose prediction set contains the true class.
COVERAGE = 0.9
#: Probabilities that differ by no more than this count as equal: float32 rounds, and votes tie.
_EQUAL = 1e-6


@dataclass(frozen=True, eq=False)
class SetCoverage:
    """How often prediction sets contain the true class.

    Attributes
    ----------
    coverage : the share of images whose set contains the true class
    by_class : (classes,) the same for the images of each class; NaN for a class without images
    mean_size : mean number of classes per set
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
    """The largest 1 - p with which a class still belongs to a prediction set.

    This is the `conformal_threshold` of 1 - p(true class) over calibration images. The set of a new
    image from the same distribution contains its true class with probability `coverage` or more.

    Parameters
    ----------
    probabilities : (n, classes) for images that the model wasn't fitted on
    labels : (n,) columns of `probabilities`
    coverage : above 0 and below 1

    Returns
    -------
    a number in 0 … 1; if n is too small for the coverage it is 1, which admits every class

    Raises
    ------
    InputError : an invalid coverage, or no images
    """
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return conformal_threshold(1 - of_label, coverage)


def class_quantiles(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], coverage: float = COVERAGE
) -> NDArray[np.float64] | None:
    """A `conformal_quantile` for each class from its own images, (classes,).

    With these, every class reaches the coverage. None if a class has too few images for that: a
    coverage of 90% takes at least 9 of each class.

    Raises InputError if the coverage is invalid or there are no images.
    """
    _check_share(coverage, len(labels))
    masks = [labels == k for k in range(probabilities.shape[1])]
    if min(int(mask.sum()) for mask in masks) < math.ceil(coverage / (1 - coverage) - _EQUAL):
        return None
    return np.array([conformal_quantile(probabilities[m], labels[m], coverage) for m in masks])


def conformal_threshold(scores: NDArray[np.floating], share: float) -> float:
    """The value that the score of a new image doesn't exceed, with probability `share` or more.

    It is the ⌈(n + 1) · share⌉-th smallest of the calibration scores.

    Parameters
    ----------
    scores : (n,) in 0 … 1, of images that the model wasn't fitted on
    share : above 0 and below 1

    Returns
    -------
    a score; 1 if n is too small for the share

    Raises
    ------
    InputError : an invalid share, or no scores
    """
    n = len(scores)
    _check_share(share, n)
    # Without _EQUAL, a product that rounding puts just above an integer would give the next score.
    rank = math.ceil((n + 1) * share - _EQUAL)
    if rank > n:
        return 1.0
    return float(np.partition(np.asarray(scores, np.float64), rank - 1)[rank - 1])


def _check_share(share: float, n: int) -> None:
    if not 0 < share < 1 or n == 0:
        raise InputError(f"a share of {share} of {n} scores is undefined; give 0 < share < 1.")


def prediction_sets(
    probabilities: NDArray[np.floating], quantile: float | NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which classes belong to each image's set, bool (n, classes); the most probable always does.

    Parameters
    ----------
    probabilities : (n, classes)
    quantile : a `conformal_quantile`, or the `class_quantiles` (classes,)
    """
    sets = 1 - probabilities.astype(np.float64) <= np.asarray(quantile) + _EQUAL
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    return np.asarray(sets)


def set_coverage(sets: NDArray[np.bool_], labels: NDArray[np.integer]) -> SetCoverage:
    """How often sets, bool (n, classes), contain the labels (n,)."""
    covered = sets[np.arange(len(labels)), labels]  # (n,)
    counts = np.bincount(labels, minlength=sets.shape[1])
    shares = np.full(len(counts), np.nan)
    np.divide(np.bincount(labels, covered, len(counts)), counts, out=shares, where=counts > 0)
    return SetCoverage(
        coverage=float(covered.mean()), by_class=shares, mean_size=float(sets.sum(axis=1).mean())
    )
