"""What image files don't say: names of the data set and its classes, and how it may be used."""

from __future__ import annotations

import logging
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from fittingroom.data.catalog import DATASETS, DatasetRow
from fittingroom.data.dataset import CARD_FILE, LABELS_FILE, check_class_names
from fittingroom.data.reading import Reading, with_split
from fittingroom.data.rendering import Preparation
from fittingroom.errors import DataError, InputError
from fittingroom.printable import printable
from fittingroom.untrusted import STRICT, read_json, read_text

_SMALL_FILE = 1 << 16  # bytes; no honest labels.txt or dataset.json is longer


logger = logging.getLogger("fittingroom.data")


class Card(NamedTuple):
    """A data set's name, and how its images may be used.

    The last `validation_images` training images are the official validation part.
    """

    name: str
    mirror_keeps_class: bool
    preparation: Preparation
    validation_images: int = 0


def card_of(
    path: Path, row: DatasetRow | None, name: str | None = None, named: Path | None = None
) -> Card:
    """The card in a folder's `dataset.json`, else the catalogue's, else what suits most data.

    Parameters
    ----------
    path : where the data are
    row : of the catalogue, if the data are in it
    name : what the files call their data set; by default the path's name
    named : the path in messages, where that is another one
    """
    if name is None and os.path.isfile(path):
        name = with_split(path.name.split(".")[0], "") or path.parent.name
    card = Card(name or path.name or "dataset", False, "image")
    if row:
        card = Card(row.name, row.mirror_keeps_class, row.preparation)
    file = path / CARD_FILE
    if os.path.lexists(file):
        card = _read_card(file, card)
    return card if row else card._replace(name=free_name(card.name, named or path))


def free_name(name: str, folder: Path) -> str:
    """A name for data that isn't in the catalogue, which no data set there has."""
    row = next((row for row in DATASETS.values() if _letters(row.name) == _letters(name)), None)
    if row is None:
        return printable(name)
    logger.warning(
        "%s isn't %s: its images or labels differ; it is called other-%s here.",
        *(folder, row.title, row.name),
    )
    return f"other-{row.name}"


def class_names_of(read: Reading, path: Path) -> tuple[str, ...] | None:
    """The class names in a folder's `labels.txt`, checked to name every label; None without one."""
    file = path / LABELS_FILE
    if not os.path.lexists(file):  # nor where `path` is a file
        return None
    text = read_text(file, DataError, most=_SMALL_FILE, within=path)
    names = tuple(line.strip() for line in text.strip().splitlines())
    require_class_names(names, file)
    for part in read.parts.values():
        if part.labels.dtype.kind == "U":
            continue
        if (highest := int(part.labels.max())) >= len(names):
            remedy = f"name every class in {file}, one per line"
            if min(each.labels.min() for each in read.parts.values()) == 1:
                remedy = f"the labels start at 1: subtract 1 from each, and {remedy}"
            raise DataError(
                f"{part.labels_file} has the label {highest}, but there are {len(names)} classes, "
                f"0 to {len(names) - 1}; {remedy}."
            )
    return names


@dataclass(frozen=True)
class _CardFile:
    """The fields of `dataset.json`."""

    __pydantic_config__ = STRICT

    schema_version: Literal[1]
    name: str
    mirror_keeps_class: bool
    preparation: Preparation | None = None
    validation_images: int = 0


def _letters(name: str) -> str:
    """The letters and digits of a name; names that share them look the same to a reader."""
    return "".join(c for c in unicodedata.normalize("NFKC", name).lower() if c.isalnum())


def _read_card(path: Path, default: Card) -> Card:
    """Read a `dataset.json`."""
    try:
        fields = read_json(path, DataError, _CardFile, most=_SMALL_FILE, within=path.parent)
    except DataError as error:
        raise DataError(
            f"{str(error).rstrip('.')}; it must hold schema_version 1, a name, mirror_keeps_class "
            f"(true or false) and optionally preparation ({', '.join(get_args(Preparation))}) and "
            "validation_images."
        ) from error
    return Card(
        fields.name,
        fields.mirror_keeps_class,
        fields.preparation or default.preparation,
        fields.validation_images,
    )


def require_class_names(names: tuple[str, ...], where: Path) -> None:
    """Raise DataError, which says where they are, for names that a file or a table can't hold."""
    try:
        check_class_names(names)
    except InputError as error:
        raise DataError(f"{where}: {error}") from error
