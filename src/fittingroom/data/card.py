"""What the files of images don't say: names of the set and its classes, and how it may be used."""

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
    """What the files of images don't say."""

    name: str
    mirror_keeps_class: bool
    preparation: Preparation


def card_of(folder: Path, row: DatasetRow | None) -> Card:
    """As `dataset.json` says, else as the catalogue does, else what is true of most folders."""
    card = Card(folder.name or "dataset", False, "image")
    if row:
        card = Card(row.name, row.mirror_keeps_class, row.preparation)
    file = folder / CARD_FILE
    if os.path.lexists(file):
        card = _read_card(file, card)
    return card if row else card._replace(name=free_name(card.name, folder))


def free_name(name: str, folder: Path) -> str:
    """The name of data that the catalogue doesn't know: none that other data are known by."""
    row = next((row for row in DATASETS.values() if _letters(row.name) == _letters(name)), None)
    if row is None:
        return printable(name)
    logger.warning(
        "%s isn't %s: its images or labels are others; it is called other-%s here.",
        *(folder, row.title, row.name),
    )
    return f"other-{row.name}"


def class_names_of(
    read: idx.IdxFolder, folder: Path, otherwise: tuple[str, ...]
) -> tuple[str, ...]:
    """Those of `labels.txt`, else the others; a name for every label."""
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
            remedy = f"name every class in {file}, one a line"
            if lowest == 1:
                remedy = f"the labels begin at 1: subtract 1 from each, and {remedy}"
            raise DataError(
                f"{read.paths[name]} has the label {highest}, but there are {len(names)} classes, "
                f"0 to {len(names) - 1}; {remedy}."
            )
    return names


@dataclass(frozen=True)
class _CardFile:
    """A `dataset.json`."""

    __pydantic_config__ = STRICT

    schema_version: Literal[1]
    name: str
    mirror_keeps_class: bool
    preparation: Preparation | None = None


def _letters(name: str) -> str:
    """What a reader takes two names for one by: letters and digits."""
    return "".join(c for c in unicodedata.normalize("NFKC", name).lower() if c.isalnum())


def _read_card(path: Path, otherwise: Card) -> Card:
    """What a `dataset.json` says."""
    try:
        read = read_json(path, DataError, _CardFile, most=_SMALL_FILE, within=path.parent)
    except DataError as error:
        raise DataError(
            f"{str(error).rstrip('.')}; it must hold schema_version 1, a name, mirror_keeps_class "
            f"(true or false) and perhaps preparation ({', '.join(get_args(Preparation))})."
        ) from error
    return Card(read.name, read.mirror_keeps_class, read.preparation or otherwise.preparation)


def require_class_names(names: tuple[str, ...], where: Path) -> None:
    """Raise DataError for names that a file or a table can't hold; it says where they stand."""
    try:
        check_class_names(names)
    except InputError as error:
        raise DataError(f"{where}: {error}") from error
