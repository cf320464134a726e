"""Out-of-distribution images: those unlike the data that a classifier was fitted on.

For an image that shows none of its classes, a good classifier gives all classes about the same
probability. How close it comes to that is the score. It is defined for every classifier, and it is
what networks learn from outlier exposure (Hendrycks, Mazeika and Dietterich 2019, "Deep Anomaly
Detection with Outlier Exposure").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fittingroom.errors import InputError
from fittingroom.evaluation.metrics import CLIP


def unlike_scores(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """How undecided a classifier is about each image, (n,) in 0 … 1.

    The score is the geometric mean of the probabilities (n, classes), divided by its largest
    possible value, 1 / classes. It is 1 if all are equal, and almost 0 if one class is certain. Up
    to sign and a constant, its logarithm is the cross-entropy of the uniform distribution.
    Probabilities are clipped at 1e-7.
    """
    n_classes = probabilities.shape[1]
    clipped = np.maximum(probabilities.astype(np.float64), CLIP)
    scores: NDArray[np.float64] = n_classes * np.exp(np.log(clipped).mean(axis=1))
    return scores.clip(max=1)


@dataclass(frozen=True)
class Separation:
    """How well scores separate out-of-distribution images from images like the data.

    Attributes
    ----------
    auroc : the probability that an out-of-distribution image has the higher score; ties count half
    low, high : its confidence interval
    """

    auroc: float
    low: float
    high: float


def separation(
    like: NDArray[np.floating],
    unlike: NDArray[np.floating],
    *,
    level: float = 0.95,
    repeats: int = 2000,
    seed: int = 0,
) -> Separation:
    """The area under the ROC curve, with a percentile bootstrap interval.

    The two groups are resampled independently.

    Parameters
    ----------
    like, unlike : scores (n,) of images like the data, and (m,) of out-of-distribution images
    level : confidence level
    repeats : number of bootstrap samples
    seed : of the draws

    Raises
    ------
    InputError : a group is empty
    """
    if not len(like) or not len(unlike):
        raise InputError("scores of one kind of images are missing; give both kinds.")
    rng = np.random.default_rng(seed)
    resampled = [
        _auroc(rng.choice(like, len(like)), rng.choice(unlike, len(unlike))) for _ in range(repeats)
    ]
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Separation(_auroc(like, unlike), float(low), float(high))


def _auroc(like: NDArray[np.floating], unlike: NDArray[np.floating]) -> float:
    """The area from the ranks of the `unlike` scores: the Mann-Whitney statistic / (n · m)."""
    # For 1,300 scores: 0.17 ms. scipy.stats.mannwhitneyu takes 0.8 ms and sklearn's roc_auc_score
    # 2.5 ms; an interval needs 2,000 calls.
    n, m = len(like), len(unlike)
    ranks = rankdata(np.concatenate([like, unlike]))[n:].sum()
    return float((ranks - m * (m + 1) / 2) / (n * m))
