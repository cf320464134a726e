"""The validation part: one fixed stratified draw, the same for every model and seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import DataError, UsageError

_SEED = 20170825  # fixed forever: another draw would make runs incomparable
_SMALLEST_CLASS = 10

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ValidationSplit:
    """Positions in the official training split, each sorted, together all of it once.

    Attributes
    ----------
    train : int64, what a classifier is fitted on (54,000 of 60,000)
    selection : int64, decides epochs, settings, weights (3,000)
    calibration : int64, sets temperatures and thresholds (3,000)
    """

    train: Indices
    selection: Indices
    calibration: Indices

    @property
    def validation(self) -> Indices:
        """Both halves together, sorted."""
        return np.sort(np.concatenate([self.selection, self.calibration]))


def validation_split(labels: NDArray[np.integer]) -> ValidationSplit:
    """Hold a tenth of the training split back, in two halves, each with every class's share.

    The tenth is exact to the image; what a class gets of it is its share rounded by largest
    remainder, and at least two, so that both halves hold every class.

    Parameters
    ----------
    labels : integers (n,), the training labels

    Raises
    ------
    DataError
        A class has fewer than ten images.
    """
    classes, counts = np.unique(labels, return_counts=True)
    for label, count in zip(classes, counts, strict=True):
        if count < _SMALLEST_CLASS:
            raise DataError(
                f"class {label} has {count} training images, but holding a tenth of them back "
                f"takes at least {_SMALLEST_CLASS}; add images or leave the class out."
            )
    drawn = np.maximum(_shares(counts, round(counts.sum() / 10)), 2)
    halves = _halves(drawn)

    random = np.random.RandomState(_SEED)
    selection, calibration = [], []
    for label, taken, half in zip(classes, drawn, halves, strict=True):
        members = random.permutation(np.flatnonzero(labels == label))
        selection.append(members[:half])
        calibration.append(members[half:taken])
    held_back = np.concatenate(selection + calibration)
    return ValidationSplit(
        train=np.setdiff1d(np.arange(len(labels)), held_back, assume_unique=True),
        selection=np.sort(np.concatenate(selection)),
        calibration=np.sort(np.concatenate(calibration)),
    )


def fold_of(labels: NDArray[np.integer], folds: int) -> Indices:
    """The fold (n,), 0 to folds - 1, of each image: one fixed draw, each with its share of a class.

    Parameters
    ----------
    labels : integers (n,), the training labels
    folds : how many, at least 2

    Raises
    ------
    UsageError
        There are fewer than two folds.
    DataError
        A class has fewer images than there are folds.
    """
    if folds < 2:
        raise UsageError(f"{folds} folds make no cross-validation; give at least 2.")
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < folds:
        raise DataError(
            f"class {classes[counts.argmin()]} has {counts.min()} training images, too few for "
            f"{folds} folds; take fewer folds or add images."
        )
    random = np.random.RandomState(_SEED)
    fold = np.empty(len(labels), np.int64)
    dealt = 0  # a class goes on where the one before stopped, so that folds stay of one size
    for label in classes:
        members = random.permutation(np.flatnonzero(labels == label))
        fold[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return fold


def _shares(counts: Indices, total: int) -> Indices:
    """`total` split in proportion to `counts`, rounded by largest remainder."""
    whole, remainder = np.divmod(counts * total, counts.sum())
    short = total - int(whole.sum())
    whole[np.argsort(-remainder, kind="stable")[:short]] += 1
    return whole


def _halves(drawn: Indices) -> Indices:
    """Half of each, where odd classes take turns in giving their odd image to the first half."""
    odd = np.cumsum(drawn % 2) % 2
    return drawn // 2 + (drawn % 2) * odd
