"""`Dataset`: uint8 images, integer labels, class names, an official split, a hash."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fittingroom.data import idx
from fittingroom.data.mapped import pieces
from fittingroom.data.pixels import images_of, labels_of, number_labels
from fittingroom.data.plausible import check_images
from fittingroom.data.rendering import Preparation, check_preparation
from fittingroom.data.splits import ValidationSplit, validation_split
from fittingroom.errors import DataError, InputError

LABELS_FILE = "labels.txt"  # one class name per line, in the order of the labels
#: What IDX files can't say: the name, whether mirroring keeps the class, how images were made.
CARD_FILE = "dataset.json"
MAX_CLASSES = 256  # a label is one byte in an IDX file

_Scalar = TypeVar("_Scalar", bound=np.generic)

logger = logging.getLogger("fittingroom.data")


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Images and their labels, both read-only.

    Attributes
    ----------
    images : uint8 (n, height, width); a memory map if the file is too large to be read
    labels : int64 (n,), indices into the data set's class names
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != np.uint8 or images.ndim != 3 or 0 in images.shape:
            raise InputError(
                f"images must be a uint8 array (n, height, width) that is not empty, "
                f"not {images.dtype} {images.shape}."
            )
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise InputError(
                f"labels must be an int64 array with one label for each of the "
                f"{len(images)} images, not {labels.dtype} {labels.shape}."
            )
        object.__setattr__(self, "images", _read_only(images))
        object.__setattr__(self, "labels", _read_only(labels))

    def followed_by(self, other: Split) -> Split:
        """Both splits in one, copied; raises InputError if their images differ in size."""
        if self.images.shape[1:] != other.images.shape[1:]:
            raise InputError(
                f"training images of {self.images.shape[1:]} pixels can't go with validation "
                f"images of {other.images.shape[1:]}; make them the same size."
            )
        return Split(
            np.concatenate([self.images, other.images]),
            np.concatenate([self.labels, other.labels]),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        n, height, width = self.images.shape
        return f"Split({n} images of {height}×{width})"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images to classify, with an official training and test split.

    Attributes
    ----------
    name : the catalogue's name, or the path's
    class_names : one for each label, in the labels' order
    mirror_keeps_class : whether an image flipped left to right still shows its class
    sha256 : hash of both splits' shapes, images and labels and of the class names, so the same
        for every copy of the same data, compressed or not (see `content_sha256`)
    source : where it was found, in words
    location : a path that `load_dataset` reads it from again, None for arrays
    preparation : how its images were made from pictures, and so how new pictures are prepared
    validation_images : how many training images, the last ones, are the official validation part;
        0 if there is none
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    mirror_keeps_class: bool
    sha256: str
    source: str
    location: Path | None = None
    preparation: Preparation = "image"
    validation_images: int = 0

    def __post_init__(self) -> None:
        check_class_names(self.class_names)
        if not self.name.isprintable():
            raise InputError(f"{self.name!r} can't be the name of a data set; use printable text.")
        check_preparation(self.preparation)
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise InputError(
                f"training images of {self.train.images.shape[1:]} pixels can't go with "
                f"test images of {self.test.images.shape[1:]}; make them the same size."
            )
        for part, split in (("training", self.train), ("test", self.test)):
            lowest, highest = int(split.labels.min()), int(split.labels.max())
            if lowest < 0 or highest >= self.n_classes:
                wrong = lowest if lowest < 0 else highest
                raise InputError(
                    f"the {part} label {wrong} is outside the {self.n_classes} classes, "
                    f"whose labels are 0 to {self.n_classes - 1}{self._numbering_hint()}."
                )
            check_images(split.images, split.labels, part)
        if not 0 <= self.validation_images < len(self.train):
            raise InputError(
                f"the validation part can't be {self.validation_images:,} of {len(self.train):,} "
                "training images."
            )
        self._warn_of_oddities()

    def _warn_of_oddities(self) -> None:
        """Warn of what is valid but rarely intended."""
        if len(self.test) > len(self.train):
            logger.warning(
                "there are more test images (%d) than training images (%d); were they swapped?",
                *(len(self.test), len(self.train)),
            )
        empty = np.setdiff1d(np.arange(self.n_classes), self.train.labels)
        if len(empty):
            listed = ", ".join(f"{label} ({self.class_names[label]})" for label in empty[:3])
            more = f" and {len(empty) - 3} more labels" if len(empty) > 3 else ""
            logger.warning(
                "no training image has the label %s%s, so no model learns it%s.",
                *(listed, more, self._numbering_hint()),
            )

    @classmethod
    def from_arrays(
        cls,
        train_images: ArrayLike,
        train_labels: ArrayLike,
        test_images: ArrayLike,
        test_labels: ArrayLike,
        *,
        class_names: Sequence[str] | None = None,
        name: str = "arrays",
        mirror_keeps_class: bool = False,
        preparation: Preparation = "image",
    ) -> Dataset:
        """A data set from arrays, which are copied.

        Parameters
        ----------
        train_images, test_images : grey images in any form that :func:`.pixels.images_of` takes
        train_labels, test_labels : in any form that :func:`.pixels.labels_of` takes
        class_names : one for each class, in which integer labels are positions; if absent, the
            distinct labels in sorted order
        mirror_keeps_class : whether training may flip images left to right
        preparation : how the images were made from pictures, see `preparation.prepare`

        Raises
        ------
        InputError
            Pixels or labels are none of these, shapes don't match, a label is outside the classes,
            or a file can't hold the class names.
        UnknownNameError
            There is no such preparation.
        """
        labels, names = number_labels(
            labels_of(train_labels), labels_of(test_labels), class_names=class_names
        )
        images = [images_of(train_images), images_of(test_images)]
        train, test = (
            Split(np.array(part, order="C"), numbers)
            for part, numbers in zip(images, labels, strict=True)
        )
        return cls(
            name=name,
            train=train,
            test=test,
            class_names=names,
            mirror_keeps_class=mirror_keeps_class,
            sha256=content_sha256(train, test, names),
            source="arrays in memory",
            preparation=preparation,
        )

    def _numbering_hint(self) -> str:
        """The remedy for labels that start at 1."""
        lowest = min(self.train.labels.min(), self.test.labels.min())
        return "; the labels start at 1, so subtract 1 from each" if lowest == 1 else ""

    def validation_split(self) -> ValidationSplit:
        """Which training images are held out: the official validation part, else a fixed tenth.

        Raises
        ------
        DataError : a class has too few images, see :func:`.splits.validation_split`
        """
        return validation_split(self.train.labels, self.validation_images)

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        _, height, width = self.train.images.shape
        return height, width

    @property
    def slug(self) -> str:
        """The name as a safe folder name."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return slug[:60].rstrip("-") or "dataset"

    def write_idx(self, folder: Path) -> None:
        """Write four IDX files, `labels.txt` and `dataset.json`, as `load_dataset` reads them.

        Raises
        ------
        DataError
            The folder can't be written.
        """
        arrays = self.idx_arrays()
        card: dict[str, Any] = {
            "schema_version": 1,
            "name": self.name,
            "mirror_keeps_class": self.mirror_keeps_class,
            "preparation": self.preparation,
        }
        if self.validation_images:
            card["validation_images"] = self.validation_images
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, array in arrays.items():
                (folder / f"{name}.gz").unlink(missing_ok=True)
                idx.write_idx(folder / name, array)
            labels = "".join(f"{name}\n" for name in self.class_names)
            (folder / LABELS_FILE).write_text(labels, encoding="utf-8")
            (folder / CARD_FILE).write_text(json.dumps(card) + "\n", encoding="utf-8")
        except OSError as error:
            raise DataError(f"{folder} can't be written: {error.strerror or error}.") from error

    def idx_arrays(self) -> dict[str, NDArray[np.uint8]]:
        """The four arrays under the names of their IDX files, labels as bytes."""
        return {
            idx.TRAIN_IMAGES: self.train.images,
            idx.TRAIN_LABELS: self.train.labels.astype(np.uint8),
            idx.TEST_IMAGES: self.test.images,
            idx.TEST_LABELS: self.test.labels.astype(np.uint8),
        }

    def __repr__(self) -> str:
        height, width = self.image_shape
        return (
            f"Dataset({self.name!r}, {len(self.train)} training and {len(self.test)} test images "
            f"of {height}×{width}, {self.n_classes} classes, sha256 {self.sha256[:8]}…)"
        )


def content_sha256(
    train: Split, test: Split, class_names: Sequence[str], validation_images: int = 0
) -> str:
    """SHA-256 over each split's shape, images and labels (int64, little-endian), then the names.

    The size of an official validation part comes last, where there is one.
    """
    digest = hashlib.sha256()
    for split in (train, test):
        digest.update(json.dumps(split.images.shape).encode())
        for piece in pieces(split.images):
            digest.update(piece.data)
        digest.update(np.ascontiguousarray(split.labels, dtype="<i8").data)
    digest.update(json.dumps(list(class_names)).encode())
    if validation_images:
        digest.update(json.dumps({"validation_images": validation_images}).encode())
    return digest.hexdigest()


def check_class_names(names: Sequence[str]) -> None:
    """Raise InputError for names that `labels.txt` or a table can't hold."""
    if not 2 <= len(names) <= MAX_CLASSES:
        raise InputError(f"a data set needs 2 to {MAX_CLASSES} classes, not {len(names)}.")
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or name != name.strip() or not name:
            raise InputError(
                f"{name!r} can't be a class name; use printable text without surrounding spaces."
            )
    duplicates = sorted({name for name in names if list(names).count(name) > 1})
    if duplicates:
        raise InputError(f"the class name {duplicates[0]!r} occurs twice; make the names distinct.")


def _read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    view = array.view()
    view.flags.writeable = False
    return view
