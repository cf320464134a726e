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

    It is the ⌈(n + 1) · coverage⌉-th smallest of 1 - p(true class) over n images that nothing was
    learned from, so that a new image like them has its true class in its set with at least that
    probability.

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
    n = len(labels)
    if not 0 < coverage < 1 or n == 0:
        raise InputError(f"a coverage of {coverage} from {n} images makes no sense.")
    place = math.ceil((n + 1) * coverage)
    if place > n:
        return 1.0
    scores = 1 - probabilities[np.arange(n), labels].astype(np.float64)
    return float(np.partition(scores, place - 1)[place - 1])


def prediction_sets(probabilities: NDArray[np.floating], quantile: float) -> NDArray[np.bool_]:
    """Which classes belong to each image's set, (n, classes); the most probable always does."""
    sets = 1 - probabilities.astype(np.float64) <= quantile
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    return sets
