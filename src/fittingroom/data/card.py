"""What the files of images don't say: names of the set and its classes, and how it may be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple, get_args

from fittingroom.data import idx
from fittingroom.data.catalog import DatasetRow
from fittingroom.data.dataset import CARD_FILE, LABELS_FILE, check_class_names
from fittingroom.data.rendering import Preparation
from fittingroom.errors import DataError, InputError

_SMALL_FILE = 1 << 16  # bytes; no honest labels.txt or dataset.json is longer


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
    return _read_card(file, card) if file.exists() else card


def class_names_of(
    read: idx.IdxFolder, folder: Path, otherwise: tuple[str, ...]
) -> tuple[str, ...]:
    """Those of `labels.txt`, else the others; a name for every label."""
    file = folder / LABELS_FILE
    names = otherwise
    if file.exists():
        names = tuple(line.strip() for line in _read_small(file).strip().splitlines())
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


def _read_card(path: Path, otherwise: Card) -> Card:
    """What a `dataset.json` says."""
    try:
        fields = json.loads(_read_small(path))
        card = Card(
            fields["name"],
            fields["mirror_keeps_class"],
            fields.get("preparation", otherwise.preparation),
        )
        version = fields.get("schema_version")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{path} is no description of a data set: {error!r}.") from error
    known = isinstance(card.name, str) and isinstance(card.mirror_keeps_class, bool)
    if version != 1 or not known or card.preparation not in get_args(Preparation):
        raise DataError(
            f"{path} must hold schema_version 1, a name, mirror_keeps_class (true or false) and "
            f"perhaps preparation ({', '.join(get_args(Preparation))})."
        )
    return card


def _read_small(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_SMALL_FILE + 1)
        if len(content) > _SMALL_FILE:
            raise DataError(f"{path} is longer than {_SMALL_FILE} bytes.")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no UTF-8 text: {error.reason}.") from error


def require_class_names(names: tuple[str, ...], where: Path) -> None:
    """Raise DataError for names that a file or a table can't hold; it says where they stand."""
    try:
        check_class_names(names)
    except InputError as error:
        raise DataError(f"{where}: {error}") from error
