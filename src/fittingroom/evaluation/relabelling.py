"""Whether labels and predictions number the classes in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fittingroom.evaluation.confusion import confusion_matrix
from fittingroom.evaluation.paired_difference import mcnemar

#: The least gain in accuracy from another numbering, over the images whose class it changes, and
#: the significance level of that gain.
MIN_GAIN, ALPHA = 0.2, 0.001


@dataclass(frozen=True)
class Relabelling:
    """Another numbering of the classes, with which far more predictions are correct.

    Attributes
    ----------
    predicted_as : for each label, the class that its images are predicted as; the label itself if
        it has no images or the numbering leaves it alone
    accuracy : with the labels as they are
    relabelled_accuracy : with the other numbering
    """

    predicted_as: tuple[int, ...]
    accuracy: float
    relabelled_accuracy: float

    @property
    def changed_labels(self) -> tuple[int, ...]:
        """The labels that stand for another class."""
        return tuple(label for label, other in enumerate(self.predicted_as) if label != other)

    def sentence(self, class_names: Sequence[str], at_most: int = 3) -> str:
        """Which classes are exchanged, and the accuracy with both numberings; without a full stop.

        Names at most `at_most` classes.
        """
        pairs = [
            f"{class_names[label]!r} is predicted as {class_names[self.predicted_as[label]]!r}"
            for label in self.changed_labels
        ]
        more = f" and so on ({len(pairs)} classes)" if len(pairs) > at_most else ""
        n = len(self.predicted_as)
        steps = {(self.predicted_as[label] - label) % n for label in self.changed_labels}
        off = {1: ", each label one too low", n - 1: ", each label one too high"}
        step = off.get(steps.pop(), "") if len(steps) == 1 and n > 2 else ""
        return (
            f"{', '.join(pairs[:at_most])}{more}{step}; with that numbering, "
            f"accuracy would be {self.relabelled_accuracy:.1%} instead of {self.accuracy:.1%}"
        )


def relabelling(
    predicted: NDArray[np.integer], labels: NDArray[np.integer], n_classes: int
) -> Relabelling | None:
    """Find another numbering of the classes that fits the predictions far better.

    The best one-to-one assignment of labels to predicted classes is found on one half of the images
    and measured on the other, and vice versa, so that chance isn't mistaken for a numbering.

    Parameters
    ----------
    predicted : classes (n,) in 0..n_classes-1
    labels : (n,) in 0..n_classes-1

    Returns
    -------
    None if the labels fit as they are, or no other numbering gains more than 20 points of accuracy
    on the images whose class it changes

    Raises
    ------
    InputError : the shapes don't match, or a class is out of range
    """
    assigned = _assign(predicted, labels, n_classes)
    half = np.zeros(len(labels), bool)
    half[np.argsort(labels, kind="stable")[::2]] = True  # every second image of each class
    if half.all():  # of a single image
        return None
    relabelled = np.empty(len(labels), np.int64)
    for held_out in (half, ~half):
        class_of = _assign(predicted[~held_out], labels[~held_out], n_classes)
        relabelled[held_out] = class_of[labels[held_out]]
    changed = relabelled != labels
    before, after = (predicted == labels)[changed], (predicted == relabelled)[changed]
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    if gained - lost <= MIN_GAIN * len(before) or mcnemar(lost, gained) > ALPHA:
        return None
    if (assigned == np.arange(n_classes)).all():
        return None
    return Relabelling(
        predicted_as=tuple(assigned.tolist()),
        accuracy=float((predicted == labels).mean()),
        relabelled_accuracy=float((predicted == assigned[labels]).mean()),
    )


def _assign(
    predicted: NDArray[np.integer], labels: NDArray[np.integer], n_classes: int
) -> NDArray[np.int64]:
    """Assign the labels to the predicted classes one to one, (n_classes,).

    Classes change places only if at least two of them gain and none loses. A model that predicts
    one class for all images, or can't tell two apart, isn't evidence of another numbering.
    """
    counts = confusion_matrix(predicted, labels, n_classes).counts
    correct = np.diag(counts)
    _, assigned = linear_sum_assignment(counts + 0.5 * np.eye(n_classes), maximize=True)
    gains = counts[np.arange(n_classes), assigned] - correct
    # Classes that change places with one another are a component of the graph label → class.
    edges = coo_array((np.ones(n_classes), (np.arange(n_classes), assigned)))
    n_cycles, cycle_of = connected_components(edges)
    for cycle in (np.flatnonzero(cycle_of == number) for number in range(n_cycles)):
        if (gains[cycle] < 0).any() or (gains[cycle] > 0).sum() < 2:
            assigned[cycle] = cycle
    empty = counts.sum(axis=1) == 0
    assigned[empty] = np.flatnonzero(empty)
    return np.asarray(assigned, np.int64)
