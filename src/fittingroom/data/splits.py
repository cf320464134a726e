"""The validation part: one fixed stratified draw, the same for every model and seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import DataError, UsageError

_SEED = 20170825  # fixed forever: another draw would make runs incomparable
_SMALLEST_CLASS = 10

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ValidationSplit:
    """Positions in the official training split: three sorted parts that together cover it once.

    Attributes
    ----------
    train : int64, for fitting (54,000 of 60,000)
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


def validation_split(labels: NDArray[np.integer], official: int = 0) -> ValidationSplit:
    """Hold out the official validation part, or a stratified tenth of the training split.

    The tenth is exact to the image; each class gets its share, rounded by largest remainder, and at
    least two images, so that both halves hold every class. An official part is only split into the
    two halves, each with half of the images of every class.

    Parameters
    ----------
    labels : integers (n,), the training labels
    official : how many images, the last ones, are the official validation part; 0 if there is none

    Raises
    ------
    DataError
        A class has fewer than ten images, or fewer than two in the official part.
    """
    if official:
        return _official_split(labels, official)
    classes, counts = np.unique(labels, return_counts=True)
    for label, count in zip(classes, counts, strict=True):
        if count < _SMALLEST_CLASS:
            raise DataError(
                f"class {label} has {count} training images, but holding out a tenth of them "
                f"needs at least {_SMALLEST_CLASS}; add images or leave the class out."
            )
    sizes = np.maximum(_shares(counts, round(counts.sum() / 10)), 2)
    halves = _halves(sizes)

    rng = np.random.RandomState(_SEED)
    selection, calibration = [], []
    for label, size, half in zip(classes, sizes, halves, strict=True):
        members = rng.permutation(np.flatnonzero(labels == label))
        selection.append(members[:half])
        calibration.append(members[half:size])
    held_out = np.concatenate(selection + calibration)
    return ValidationSplit(
        train=np.setdiff1d(np.arange(len(labels)), held_out, assume_unique=True),
        selection=np.sort(np.concatenate(selection)),
        calibration=np.sort(np.concatenate(calibration)),
    )


def _official_split(labels: NDArray[np.integer], official: int) -> ValidationSplit:
    first = len(labels) - official
    held_out = labels[first:]
    counts = np.bincount(held_out, minlength=int(labels.max()) + 1)
    for label in np.unique(labels[:first]):
        if counts[label] < 2:
            raise DataError(
                f"class {label} has {counts[label]} images in the official validation part, whose "
                "two halves need one each; add images, or leave the official part out."
            )
    classes, counts = np.unique(held_out, return_counts=True)
    rng = np.random.RandomState(_SEED)
    selection, calibration = [], []
    for label, half in zip(classes, _halves(counts), strict=True):
        members = first + rng.permutation(np.flatnonzero(held_out == label))
        selection.append(members[:half])
        calibration.append(members[half:])
    return ValidationSplit(
        train=np.arange(first),
        selection=np.sort(np.concatenate(selection)),
        calibration=np.sort(np.concatenate(calibration)),
    )


def hold_out_test(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which images of data without a split are the test split: a fixed stratified seventh.

    Images are drawn by a hash of their pixels, so in whatever order they come, the same ones are
    drawn, and copies of an image are on the same side, whatever their labels.

    Parameters
    ----------
    images : uint8 (n, height, width)
    labels : integers (n,)

    Returns
    -------
    whether each is a test image (n,), at least one of every class

    Raises
    ------
    DataError : a class has fewer than two different images
    """
    keys = b"".join(
        hashlib.blake2b(image.tobytes(), digest_size=8, key=b"test").digest() for image in images
    )
    hashes = np.frombuffer(keys, "<u8")
    _, content, copies = np.unique(hashes, return_inverse=True, return_counts=True)
    class_of = np.full(len(copies), np.iinfo(np.int64).max)
    np.minimum.at(class_of, content, labels)  # of copies in several classes, the first class
    is_test = np.zeros(len(copies), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(class_of == label)
        if len(members) < 2:
            raise DataError(
                f"class {label} has {len(members)} different images, but a split into training and "
                "test images needs two; add images or leave the class out."
            )
        before = np.cumsum(copies[members]) - copies[members]  # images drawn before each
        drawn = before < max(round(int(copies[members].sum()) / 7), 1)
        drawn[-1] = False  # one remains for training
        is_test[members] = drawn
    return is_test[content]


def fold_of(labels: NDArray[np.integer], folds: int) -> Indices:
    """The fold (n,), 0 to folds - 1, of each image: one fixed stratified draw.

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
        raise UsageError(f"cross-validation needs at least 2 folds, not {folds}.")
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < folds:
        raise DataError(
            f"class {classes[counts.argmin()]} has {counts.min()} training images, too few for "
            f"{folds} folds; take fewer folds or add images."
        )
    rng = np.random.RandomState(_SEED)
    fold = np.empty(len(labels), np.int64)
    dealt = 0  # each class continues where the last one stopped, so that folds have equal sizes
    for label in classes:
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return fold


def _shares(counts: Indices, total: int) -> Indices:
    """`total` split in proportion to `counts`, rounded by largest remainder."""
    shares, remainder = np.divmod(counts * total, counts.sum())
    missing = total - int(shares.sum())
    shares[np.argsort(-remainder, kind="stable")[:missing]] += 1
    return shares


def _halves(counts: Indices) -> Indices:
    """Half of each count; odd counts take turns in rounding up and down."""
    odd = np.cumsum(counts % 2) % 2
    return counts // 2 + (counts % 2) * odd
