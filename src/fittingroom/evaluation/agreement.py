"""Agreement between models on the same images, the images that all get wrong, and averaging."""

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
    """Pairwise agreement of m models.

    Attributes
    ----------
    models : the m names, in the order of the arrays
    same : (m, m) share of images for which both models predict the same class
    shared_mistakes : (m, m) of the images that at least one of the two misclassifies, the share
        that both misclassify (the Jaccard index); NaN if neither misclassifies any
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
        """One row per pair of models. Raises UsageError if pandas isn't installed."""
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
    probabilities : (n, c) per model, by name
    labels : (n,) in 0..c-1

    Raises
    ------
    InputError : there are no models, or the shapes don't match
    """
    if not probabilities:
        raise InputError("no predictions to compare; give at least one model's.")
    wrong = np.stack([~correctness(p, labels) for p in probabilities.values()])  # (m, n)
    predicted = np.stack([p.argmax(axis=1) for p in probabilities.values()])
    same = (predicted[:, None] == predicted[None]).mean(axis=2)
    both = (wrong[:, None] & wrong[None]).sum(axis=2)
    either = (wrong[:, None] | wrong[None]).sum(axis=2)
    shares = np.full(both.shape, np.nan)
    np.divide(both, either, out=shares, where=either > 0)
    return Agreement(models=tuple(probabilities), same=same, shared_mistakes=shares)


def wrong_for_all(
    probabilities: Sequence[Probabilities], labels: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Positions (k,) of the images that every model misclassifies: candidates for label errors.

    They are sorted by the mean probability of the label over the models, lowest first.

    Parameters
    ----------
    probabilities : (n, c) per model
    labels : (n,) in 0..c-1

    Raises
    ------
    InputError : there are no models, or the shapes don't match
    """
    if not probabilities:
        raise InputError("no predictions to compare; give at least one model's.")
    wrong = ~np.any([correctness(p, labels) for p in probabilities], axis=0)
    positions = np.flatnonzero(wrong)
    mean = np.mean([label_probabilities(p, labels) for p in probabilities], axis=0)
    return np.asarray(positions[np.argsort(mean[positions], kind="stable")])


def label_probabilities(
    probabilities: Probabilities, labels: NDArray[np.integer]
) -> NDArray[np.float64]:
    """The predicted probability of each image's label, (n,)."""
    return np.asarray(probabilities[np.arange(len(labels)), labels], np.float64)


def average(
    probabilities: Sequence[Probabilities], weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """The weighted mean of several models' probabilities, (n, c) each.

    All models weigh the same unless `weights` are given. Raises InputError if there are no models.
    """
    if not probabilities:
        raise InputError("no probabilities to average; give at least one model's.")
    mean = np.average(np.stack(probabilities), axis=0, weights=weights)
    return np.asarray(mean, np.float64)


def fit_weights(
    probabilities: Sequence[Probabilities], labels: NDArray[np.integer], rounds: int = 50
) -> tuple[float, ...]:
    """Weights for :func:`average` that sum to one, by greedy forward selection.

    Each round adds the model that lowers the log loss of the average the most, with replacement; a
    model's weight is the share of rounds that it won (Caruana et al. 2004, "Ensemble Selection from
    Libraries of Models", section 2). Use images that no model was trained on.

    Parameters
    ----------
    probabilities : (n, c) for each of m models
    labels : (n,) in 0..c-1

    Returns
    -------
    m weights, multiples of 1 / `rounds`

    Raises
    ------
    InputError : there are no models
    """
    if not probabilities:
        raise InputError("no probabilities to weight; give at least one model's.")
    of_label = np.stack([label_probabilities(p, labels) for p in probabilities])  # (m, n)
    wins, total = np.zeros(len(of_label), int), np.zeros(of_label.shape[1])
    for n_added in range(1, rounds + 1):
        losses = -np.log(np.maximum((total + of_label) / n_added, CLIP)).mean(axis=1)  # (m,)
        best = int(np.argmin(losses))
        wins[best] += 1
        total += of_label[best]
    return tuple(float(share) for share in wins / rounds)
