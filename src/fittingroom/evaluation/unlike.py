"""Pictures unlike the data that a classifier has seen.

Asked about something that is none of its classes, a classifier that knows its limits finds all of
them about as probable. How near it comes to that is the score: any classifier has it, and it is
what a network learns to show that was trained on such things too (Hendrycks, Mazeika and Dietterich
2019, "Deep Anomaly Detection with Outlier Exposure").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from fittingroom.errors import InputError
from fittingroom.evaluation.metrics import CLIP


def unlike_scores(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """How undecided a classifier is about each image (n, classes), (n,) in 0 … 1.

    The geometric mean of the probabilities as a share of the largest that it can be, 1/classes: one
    where all are equal, next to nothing where one class is certain. Its logarithm is the
    cross-entropy of even odds, without sign and constant. Probabilities count at least 1e-7.
    """
    n_classes = probabilities.shape[1]
    least = np.maximum(probabilities.astype(np.float64), CLIP)
    scores: NDArray[np.float64] = n_classes * np.exp(np.log(least).mean(axis=1))
    return scores.clip(max=1)


@dataclass(frozen=True)
class Separation:
    """How well scores tell images that are unlike the data from those that aren't.

    Attributes
    ----------
    auroc : the probability that an unlike image has the higher score, ties counted half
    low, high : its interval
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
    """The area under the receiver operating characteristic, with a percentile bootstrap interval.

    Both groups are drawn again, each by itself.

    Parameters
    ----------
    like, unlike : scores (n,) and (m,)

    Raises
    ------
    InputError : a group is empty
    """
    if not len(like) or not len(unlike):
        raise InputError("there must be scores of both kinds of images.")
    rng = np.random.default_rng(seed)
    drawn = [
        _auroc(rng.choice(like, len(like)), rng.choice(unlike, len(unlike))) for _ in range(repeats)
    ]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Separation(_auroc(like, unlike), float(low), float(high))


def _auroc(like: NDArray[np.floating], unlike: NDArray[np.floating]) -> float:
    """By the ranks of the unlike ones (the Mann-Whitney statistic)."""
    # Of 1,300 scores: 0.17 ms. scipy.stats.mannwhitneyu takes 0.8 ms and sklearn's roc_auc_score
    # 2.5 ms, 2,000 times over for an interval.
    n, m = len(like), len(unlike)
    ranks = rankdata(np.concatenate([like, unlike]))[n:].sum()
    return float((ranks - m * (m + 1) / 2) / (n * m))
