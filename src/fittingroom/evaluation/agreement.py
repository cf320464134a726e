"""What several models make of the same images: where they agree, and where all are wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError
from fittingroom.evaluation.frames import frame
from fittingroom.evaluation.metrics import CLIP, correctness

if TYPE_CHECKING:
    from pandas import DataFrame

Probabilities = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Agreement:
    """How much models have in common.

    Attributes
    ----------
    models : their names, in the order of the arrays
    same : (m, m) share of the images that two models put in the same class
    shared_mistakes : (m, m) of the images that either gets wrong, the share that both do; NaN where
        neither gets any wrong
    """

    models: tuple[str, ...]
    same: NDArray[np.float64]
    shared_mistakes: NDArray[np.float64]

    def to_dict(self) -> dict[str, Any]:
        return {
            "models": list(self.models),
            "same": self.same.tolist(),
            "shared_mistakes": [
                [None if np.isnan(share) else float(share) for share in row]
                for row in self.shared_mistakes
            ],
        }

    def to_frame(self) -> DataFrame:
        """A line a pair of models. Raises UsageError without pandas."""
        return frame(
            {
                "a": self.models[i],
                "b": self.models[j],
                "same": self.same[i, j],
                "shared_mistakes": self.shared_mistakes[i, j],
            }
            for i, j in combinations(range(len(self.models)), 2)
        )


def agreement(probabilities: Mapping[str, Probabilities], labels: NDArray[np.integer]) -> Agreement:
    """Compare models' predictions of the same images, two at a time.

    `probabilities` are (n, c) by model, `labels` (n,). Raises InputError where shapes don't fit.
    """
    if not probabilities:
        raise InputError("no predictions to compare; give at least one model's.")
    wrong = np.stack([~correctness(each, labels) for each in probabilities.values()])  # (m, n)
    predicted = np.stack([each.argmax(axis=1) for each in probabilities.values()])
    same = (predicted[:, None] == predicted[None]).mean(axis=2)
    both = (wrong[:, None] & wrong[None]).sum(axis=2)
    either = (wrong[:, None] | wrong[None]).sum(axis=2)
    shares = np.full(both.shape, np.nan)
    np.divide(both, either, out=shares, where=either > 0)
    return Agreement(models=tuple(probabilities), same=same, shared_mistakes=shares)


def wrong_for_all(
    probabilities: Sequence[Probabilities], labels: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Positions of the images that every model gets wrong, the most surely wrong first.

    Candidates for a wrong label: they stand in the order of the mean probability that the models
    give the label, lowest first.
    """
    if not probabilities:
        raise InputError("no predictions to look at; give at least one model's.")
    wrong = ~np.any([correctness(each, labels) for each in probabilities], axis=0)
    positions = np.flatnonzero(wrong)
    mean = np.mean([of_label(each, labels) for each in probabilities], axis=0)
    return np.asarray(positions[np.argsort(mean[positions], kind="stable")])


def of_label(probabilities: Probabilities, labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """The probability (n,) that each image's own label was given."""
    return np.asarray(probabilities[np.arange(len(labels)), labels], np.float64)


def average(
    probabilities: Sequence[Probabilities], weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """The weighted mean (n, c) of several models' probabilities; of equal weights by default."""
    if not probabilities:
        raise InputError("no probabilities to average; give at least one model's.")
    mean = np.average(np.stack(probabilities), axis=0, weights=weights)
    return np.asarray(mean, np.float64)


def fit_weights(
    probabilities: Sequence[Probabilities], labels: NDArray[np.integer], rounds: int = 50
) -> tuple[float, ...]:
    """Weights for :func:`average`, that sum to one, by greedy selection.

    Models are taken one at a time, each as often as that makes the log loss of the average lowest
    (Caruana and others 2004, "Ensemble Selection from Libraries of Models", section 2). To be
    fitted on images that no model was trained on.
    """
    if not probabilities:
        raise InputError("no probabilities to weigh; give at least one model's.")
    given = np.stack([of_label(each, labels) for each in probabilities])  # (m, n)
    taken, total = np.zeros(len(given), int), np.zeros(given.shape[1])
    for number in range(1, rounds + 1):
        losses = -np.log(np.maximum((total + given) / number, CLIP)).mean(axis=1)  # (m,)
        best = int(np.argmin(losses))
        taken[best] += 1
        total += given[best]
    return tuple(float(share) for share in taken / rounds)
