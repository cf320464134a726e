"""`DatasetCard`: facts about the data set that a store of runs belongs to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.card import free_name
from fittingroom.data.catalog import row_of_content
from fittingroom.data.dataset import Dataset, check_class_names
from fittingroom.errors import InputError, StoreError
from fittingroom.runs.copies import copied_test_images, nearly_copied_share, repeated_images
from fittingroom.runs.run import SCHEMA_VERSION, labels_sha256
from fittingroom.untrusted import MAX_JSON_BYTES, STRICT, convert, parse_json, raise_as, read_text

#: The file of a store's card.
CARD = "dataset.json"


class NewerError(StoreError):
    """A newer version wrote the file."""


@dataclass(frozen=True)
class DatasetCard:
    """What tables need to know of a data set, saved beside the runs so that they need no data."""

    __pydantic_config__ = STRICT

    name: str
    title: str
    sha256: str
    class_names: tuple[str, ...]
    test_images: int
    location: str | None = None  # the path that it was read from
    untrained_classes: tuple[str, ...] = ()  # those without a training image
    copied_test_images: int | None = None  # that are training images too; None if not counted
    nearly_copied_share: float | None = None  # of test images; None if not searched for
    test_labels_sha256: str | None = None  # see `labels_sha256`
    #: Groups of positions of test images that are copies of one another; None if not searched for.
    repeated_test_images: tuple[tuple[int, ...], ...] | None = None
    schema_version: int = 1

    @classmethod
    def of(
        cls, dataset: Dataset, known: DatasetCard | None, *, search_near: bool = False
    ) -> DatasetCard:
        """The card of `dataset`; what a `known` card of the same data has isn't counted again.

        Test images that are nearly training images are searched for only if `search_near` says so.
        """
        trained = set(np.unique(dataset.train.labels).tolist())
        if known is not None and known.sha256 != dataset.sha256:
            known = None
        copied = known.copied_test_images if known else None
        near = known.nearly_copied_share if known else None
        repeated = known.repeated_test_images if known else None
        return cls(
            name=dataset.name,
            title=row.title if (row := row_of_content(dataset.sha256)) else dataset.name,
            sha256=dataset.sha256,
            class_names=dataset.class_names,
            test_images=len(dataset.test),
            location=None if dataset.location is None else str(dataset.location.resolve()),
            untrained_classes=tuple(
                name for label, name in enumerate(dataset.class_names) if label not in trained
            ),
            copied_test_images=copied_test_images(dataset) if copied is None else copied,
            nearly_copied_share=nearly_copied_share(dataset)
            if near is None and search_near
            else near,
            test_labels_sha256=labels_sha256(dataset.test.labels),
            repeated_test_images=repeated_images(dataset.test.images)
            if repeated is None
            else repeated,
        )

    @property
    def copies(self) -> NDArray[np.int64] | None:
        """A number for each test image, the same for copies; None if there are no copies."""
        if not self.repeated_test_images:
            return None
        numbers = np.arange(self.test_images)
        for group in self.repeated_test_images:
            numbers[list(group)] = group[0]
        return numbers

    @classmethod
    def read(cls, file: Path) -> DatasetCard:
        """Read a saved card. Raises StoreError."""
        text = read_text(file, StoreError, most=MAX_JSON_BYTES, within=file.parent)
        with raise_as(file, StoreError):
            fields = parse_json(text)
            version = fields.get("schema_version") if isinstance(fields, dict) else None
            if isinstance(version, int) and version > SCHEMA_VERSION:
                raise NewerError(f"{file} was written by a newer version of fittingroom.")
            card = convert(cls, fields)
        try:
            check_class_names(card.class_names)
        except InputError as error:
            raise StoreError(f"{file} can't be read: {error}") from error
        groups = card.repeated_test_images or ()
        positions = [position for group in groups for position in group]
        if not all(groups) or any(not 0 <= position < card.test_images for position in positions):
            raise StoreError(f"{file} can't be read: its copies are of images that don't exist.")
        row = row_of_content(card.sha256)  # whatever its names are: a stranger may have written it
        name = row.name if row else free_name(card.name, file.parent)
        return replace(card, name=name, title=row.title if row else name)


def location_of(model: Path) -> str | None:
    """The path from which the data set of a saved model was read.

    None if it isn't known, as of a bundle outside of a store of runs.

    Parameters
    ----------
    model : the bundle's folder
    """
    try:
        return DatasetCard.read(model.resolve().parents[2] / CARD).location
    except (StoreError, IndexError):
        return None
