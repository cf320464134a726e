"""Where several models agree on the same images, and where all of them are wrong."""

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
    """How much each two of m models have in common.

    Attributes
    ----------
    models : the m names, in the order of the arrays
    same : (m, m) share of the images that both models assign to the same class
    shared_mistakes : (m, m) of the images that at least one of the two misclassifies, the share
        that both misclassify (the Jaccard index); NaN where neither misclassifies any
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
        """One row per pair of models. Raises UsageError where pandas isn't installed."""
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
    """Compare the predictions of several models pair by pair.

    Parameters
    ----------
    probabilities : (n, c) of each model, by its name
    labels : (n,) in 0..c-1

    Raises
    ------
    InputError : there is no model, or shapes don't fit
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
    """Positions (k,) of the images that every model misclassifies.

    These are candidates for a wrong label. They are sorted by the mean probability that the models
    assign to the label, lowest first.

    Parameters
    ----------
    probabilities : (n, c) of each model
    labels : (n,) in 0..c-1

    Raises
    ------
    InputError : there is no model, or shapes don't fit
    """
    if not probabilities:
        raise InputError("no predictions to look at; give at least one model's.")
    wrong = ~np.any([correctness(each, labels) for each in probabilities], axis=0)
    positions = np.flatnonzero(wrong)
    mean = np.mean([label_probabilities(each, labels) for each in probabilities], axis=0)
    return np.asarray(positions[np.argsort(mean[positions], kind="stable")])


def label_probabilities(
    probabilities: Probabilities, labels: NDArray[np.integer]
) -> NDArray[np.float64]:
    """The probability (n,) that a model assigns to the label of each image."""
    return np.asarray(probabilities[np.arange(len(labels)), labels], np.float64)


def average(
    probabilities: Sequence[Probabilities], weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """The weighted mean (n, c) of several models' probabilities, each (n, c).

    Without `weights` all models count the same. Raises InputError where there is no model.
    """
    if not probabilities:
        raise InputError("no probabilities to average; give at least one model's.")
    mean = np.average(np.stack(probabilities), axis=0, weights=weights)
    return np.asarray(mean, np.float64)


def fit_weights(
    probabilities: Sequence[Probabilities], labels: NDArray[np.integer], rounds: int = 50
) -> tuple[float, ...]:
    """Weights for :func:`average` that sum to one, by greedy forward selection.

    In each round the model that lowers the log loss of the average most is added to it; a model may
    be added again and again, and its weight is the share of rounds that it won (Caruana and others
    2004, "Ensemble Selection from Libraries of Models", section 2). Use images that no model was
    trained on.

    Parameters
    ----------
    probabilities : (n, c) of each of m models
    labels : (n,) in 0..c-1

    Returns
    -------
    m weights, multiples of 1 / `rounds`

    Raises
    ------
    InputError : there is no model
    """
    if not probabilities:
        raise InputError("no probabilities to weigh; give at least one model's.")
    of_label = np.stack([label_probabilities(each, labels) for each in probabilities])  # (m, n)
    wins, total = np.zeros(len(of_label), int), np.zeros(of_label.shape[1])
    for number in range(1, rounds + 1):
        losses = -np.log(np.maximum((total + of_label) / number, CLIP)).mean(axis=1)  # (m,)
        best = int(np.argmin(losses))
        wins[best] += 1
        total += of_label[best]
    return tuple(float(share) for share in wins / rounds)
