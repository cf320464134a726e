"""Whether labels and predictions number the classes alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from fittingroom.evaluation.confusion import confusion_matrix
from fittingroom.evaluation.paired_difference import mcnemar

#: What another numbering must gain at least, of the images whose class it changes, and how
#: surprising that must be.
LEAST_GAIN, ALPHA = 0.2, 0.001


@dataclass(frozen=True)
class Relabelling:
    """Another numbering of the classes, by which predictions are right far oftener.

    Attributes
    ----------
    predicted_as : for every label the class that its images are predicted as; its own where it
        has none, or means what it says
    accuracy, otherwise : as the labels stand, and by the other numbering
    """

    predicted_as: tuple[int, ...]
    accuracy: float
    otherwise: float

    @property
    def moved(self) -> tuple[int, ...]:
        """The labels that mean another class."""
        return tuple(label for label, other in enumerate(self.predicted_as) if label != other)

    def sentence(self, class_names: Sequence[str], at_most: int = 3) -> str:
        """What is predicted as what, and what that does to the accuracy, without a full stop."""
        pairs = [
            f"{class_names[label]!r} is predicted as {class_names[self.predicted_as[label]]!r}"
            for label in self.moved
        ]
        more = f" and so on ({len(pairs)} classes)" if len(pairs) > at_most else ""
        n = len(self.predicted_as)
        steps = {(self.predicted_as[label] - label) % n for label in self.moved}
        off = {1: ", each label one too low", n - 1: ", each label one too high"}
        step = off.get(steps.pop(), "") if len(steps) == 1 and n > 2 else ""
        return (
            f"{', '.join(pairs[:at_most])}{more}{step}; with that numbering, "
            f"accuracy would be {self.otherwise:.1%} instead of {self.accuracy:.1%}"
        )


def relabelling(
    predicted: NDArray[np.integer], labels: NDArray[np.integer], n_classes: int
) -> Relabelling | None:
    """The numbering of the classes that predictions speak for, if it is plainly another.

    The labels of half of the images are assigned to the classes that they are best predicted as,
    each to another one, and judged on the other half, so that chance passes for nothing.

    Parameters
    ----------
    predicted : classes (n,) in 0..n_classes-1
    labels : (n,) in 0..n_classes-1

    Returns
    -------
    None where the labels fit as they are, or no other numbering is right for at least 20 points
    more of the images that it says something else of

    Raises
    ------
    InputError : shapes don't fit, or a class is outside
    """
    assigned = _assigned(predicted, labels, n_classes)
    half = np.zeros(len(labels), bool)
    half[np.argsort(labels, kind="stable")[::2]] = True  # every second image of each class
    if half.all():  # of a single image
        return None
    crossed = np.empty(len(labels), np.int64)
    for judged in (half, ~half):
        learned = _assigned(predicted[~judged], labels[~judged], n_classes)
        crossed[judged] = learned[labels[judged]]
    moved = crossed != labels
    right, otherwise = (predicted == labels)[moved], (predicted == crossed)[moved]
    lost, gained = int((right & ~otherwise).sum()), int((otherwise & ~right).sum())
    if gained - lost <= LEAST_GAIN * len(right) or mcnemar(lost, gained) > ALPHA:
        return None
    if (assigned == np.arange(n_classes)).all():
        return None
    return Relabelling(
        predicted_as=tuple(assigned.tolist()),
        accuracy=float((predicted == labels).mean()),
        otherwise=float((predicted == assigned[labels]).mean()),
    )


def _assigned(
    predicted: NDArray[np.integer], labels: NDArray[np.integer], n_classes: int
) -> NDArray[np.int64]:
    """For each label the class (n_classes,) that it is best assigned to, one to one.

    Classes change places only where at least two of them gain and none loses: a model that takes
    all images for one class, or can't tell two apart, speaks for no other numbering.
    """
    counts = confusion_matrix(predicted, labels, n_classes).counts
    own = np.diag(counts)
    _, assigned = linear_sum_assignment(counts + 0.5 * np.eye(n_classes), maximize=True)
    gains = counts[np.arange(n_classes), assigned] - own
    for cycle in _cycles(assigned):
        if (gains[cycle] < 0).any() or (gains[cycle] > 0).sum() < 2:
            assigned[cycle] = cycle
    empty = counts.sum(axis=1) == 0
    assigned[empty] = np.flatnonzero(empty)
    return np.asarray(assigned, np.int64)


def _cycles(permutation: NDArray[np.integer]) -> list[list[int]]:
    """The classes that change places with one another."""
    cycles, seen = [], set()
    for start in range(len(permutation)):
        cycle = []
        while start not in seen:
            seen.add(start)
            cycle.append(start)
            start = int(permutation[start])
        if len(cycle) > 1:
            cycles.append(cycle)
    return cycles
