"""Sets of classes that hold the true one with a chosen probability: split conformal prediction.

Sadinle, Lei and Wasserman 2019, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError


def conformal_quantile(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], coverage: float = 0.9
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


def conformal_threshold(scores: NDArray[np.floating], share: float) -> float:
    """What a new image's score is at most, with that probability.

    The ⌈(n + 1) · share⌉-th smallest of the scores, in 0 … 1, of n images like it that nothing was
    learned from; 1 where n is too small for that share.

    Raises
    ------
    InputError : a share outside 0 … 1, or no scores
    """
    n = len(scores)
    if not 0 < share < 1 or n == 0:
        raise InputError(f"a share of {share} of {n} scores makes no sense.")
    place = math.ceil((n + 1) * share)
    if place > n:
        return 1.0
    return float(np.partition(np.asarray(scores, np.float64), place - 1)[place - 1])


def prediction_sets(probabilities: NDArray[np.floating], quantile: float) -> NDArray[np.bool_]:
    """Which classes belong to each image's set, (n, classes); the most probable always does."""
    sets = 1 - probabilities.astype(np.float64) <= quantile
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    return sets
