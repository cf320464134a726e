"""What image files don't say: names of the data set and its classes, and how it may be used."""

from __future__ import annotations

import logging
import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from fittingroom.data import idx
from fittingroom.data.catalog import DATASETS, DatasetRow
from fittingroom.data.dataset import CARD_FILE, LABELS_FILE, check_class_names
from fittingroom.data.rendering import Preparation
from fittingroom.errors import DataError, InputError
from fittingroom.printable import printable
from fittingroom.untrusted import STRICT, read_json, read_text

_SMALL_FILE = 1 << 16  # bytes; no honest labels.txt or dataset.json is longer


logger = logging.getLogger("fittingroom.data")


class Card(NamedTuple):
    """A data set's name, and how its images may be used."""

    name: str
    mirror_keeps_class: bool
    preparation: Preparation


def card_of(folder: Path, row: DatasetRow | None) -> Card:
    """The card in `dataset.json`, else the catalogue's, else one that suits most folders."""
    card = Card(folder.name or "dataset", False, "image")
    if row:
        card = Card(row.name, row.mirror_keeps_class, row.preparation)
    file = folder / CARD_FILE
    if os.path.lexists(file):
        card = _read_card(file, card)
    return card if row else card._replace(name=free_name(card.name, folder))


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


def class_names_of(
    read: idx.IdxFolder, folder: Path, otherwise: tuple[str, ...]
) -> tuple[str, ...]:
    """The class names in `labels.txt`, else `otherwise`; checked to name every label."""
    file = folder / LABELS_FILE
    names = otherwise
    if os.path.lexists(file):
        text = read_text(file, DataError, most=_SMALL_FILE, within=folder)
        names = tuple(line.strip() for line in text.strip().splitlines())
        require_class_names(names, file)
    labels = {name: read.arrays[name] for name in (idx.TRAIN_LABELS, idx.TEST_LABELS)}
    lowest = min(int(array.min()) for array in labels.values())
    for name, array in labels.items():
        highest = int(array.max())
        if highest >= len(names):
            remedy = f"name every class in {file}, one per line"
            if lowest == 1:
                remedy = f"the labels start at 1: subtract 1 from each, and {remedy}"
            raise DataError(
                f"{read.paths[name]} has the label {highest}, but there are {len(names)} classes, "
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
            f"(true or false) and optionally preparation ({', '.join(get_args(Preparation))})."
        ) from error
    return Card(fields.name, fields.mirror_keeps_class, fields.preparation or default.preparation)


def require_class_names(names: tuple[str, ...], where: Path) -> None:
    """Raise DataError, which says where they are, for names that a file or a table can't hold."""
    try:
        check_class_names(names)
    except InputError as error:
        raise DataError(f"{where}: {error}") from error
