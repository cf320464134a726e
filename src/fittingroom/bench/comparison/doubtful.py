"""Which labels the models of a table doubt, and what depends on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError
from fittingroom.evaluation.agreement import average
from fittingroom.evaluation.label_quality import LabelSuspects, label_suspects
from fittingroom.evaluation.metrics import accuracy, balanced_accuracy
from fittingroom.runs.run import Part, Run

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TrainSuspects:
    """Training labels that cross-validated models, or their average, contradict.

    `labels` (n,) are those of all training images.
    """

    models: tuple[str, ...]
    labels: Labels
    suspects: LabelSuspects


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How much the order of models depends on doubtful test labels.

    Attributes
    ----------
    doubtful : positions of the test images that are set aside, the same for every model: whichever
        model is left out, the average of the others doubts their labels
    accuracy, without : of each model's first fit, on all test images and on the remaining ones
    """

    doubtful: NDArray[np.int64]
    accuracy: Mapping[str, float]
    without: Mapping[str, float]

    @property
    def order_changes(self) -> bool:
        """Whether the order of the models is different without the doubtful labels."""

        def in_order(scores: Mapping[str, float]) -> list[str]:
            return sorted(scores, key=lambda model: -scores[model])

        return in_order(self.accuracy) != in_order(self.without)


def sensitivity_of(
    probabilities: Mapping[str, Probabilities], labels: Labels, *, balanced: bool = False
) -> Sensitivity | None:
    """Set aside labels that the others doubt whichever model is left out: none judges itself.

    Accuracies are `balanced` if the models are ranked by those. None with fewer than two models, or
    if all labels are doubtful: then single labels aren't the problem.
    """
    if len(probabilities) < 2:
        return None
    doubted = [
        label_suspects(
            average([other for name, other in probabilities.items() if name != model]), labels
        ).positions
        for model in probabilities
    ]
    doubtful = reduce(np.intersect1d, doubted)
    if len(doubtful) == len(labels):
        return None
    kept = np.ones(len(labels), bool)
    kept[doubtful] = False
    score = balanced_accuracy if balanced else accuracy
    return Sensitivity(
        doubtful=doubtful,
        accuracy={model: score(each, labels) for model, each in probabilities.items()},
        without={model: score(each[kept], labels[kept]) for model, each in probabilities.items()},
    )


def train_suspects_of(
    saved: Sequence[Run], n_classes: int, dataset: Dataset | None
) -> TrainSuspects | None:
    """The training labels that cross-validated models contradict together."""
    parts: list[tuple[str, Part]] = []
    for run in saved:
        with suppress(StoreError):  # skip unreadable runs
            part = run.out_of_fold if run.record.spec.folds else None
            if part is not None and _is_usable(part, n_classes, dataset):
                parts.append((run.record.label, part))
    if not parts:
        return None
    labels = parts[0][1].labels
    comparable = [(label, part) for label, part in parts if np.array_equal(part.labels, labels)]
    return TrainSuspects(
        models=tuple(label for label, _ in comparable),
        labels=labels,
        suspects=label_suspects(average([part.probabilities for _, part in comparable]), labels),
    )


def _is_usable(part: Part, n_classes: int, dataset: Dataset | None) -> bool:
    """Whether a part can be a cross-validation of the training split."""
    if part.fault is not None or part.probabilities.shape[1] != n_classes:
        return False
    if dataset is not None and not np.array_equal(part.labels, dataset.train.labels):
        return False
    return np.array_equal(part.index, np.arange(len(part.index)))
