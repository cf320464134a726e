"""Read IDX files under other names than MNIST's, such as QMNIST's and EMNIST's.

`emnist-letters-train-images-idx3-ubyte.gz` is the file of the training images of `emnist-letters`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.idx import read_idx
from fittingroom.data.reading import (
    COMPRESSED_COPY,
    SPLIT_WORDS,
    RawSplit,
    Reading,
    is_transposed,
)
from fittingroom.errors import DataError
from fittingroom.untrusted import read_text

_NAME = re.compile(
    r"(?P<set>.*?)[-_.]?(?P<split>train|test|t10k)[-_.](?P<role>images|labels)"
    r"[-_.]idx\d[-_.](ubyte|byte|short|int|float|double)(\.gz)?",
    re.I | re.A,
)
#: What a data set needs.
_NEEDED = tuple((split, role) for split in ("train", "test") for role in ("images", "labels"))
#: Longest `NAME-mapping.txt`, in bytes.
_MOST_MAPPING = 1 << 16

logger = logging.getLogger("fittingroom.data")


class _IdxName(NamedTuple):
    """What the name of a file says: of which data set, which split, and images or labels."""

    set: str
    split: str
    role: str


def is_idx_set(path: Path) -> bool:
    """Whether a path is a file so named, or a folder with such files of both splits."""
    if os.path.isfile(path):
        return _name_of(path) is not None
    if not os.path.isdir(path):
        return False
    held = {name[1:] for file in path.iterdir() if (name := _name_of(file)) is not None}
    return held.issuperset(_NEEDED)


def read_idx_set(path: Path) -> Reading:
    """Read both splits of a data set from its four files.

    Classes have the names in `NAME-mapping.txt`, if that is there: each line has a label and the
    characters that it stands for, as numbers.

    Parameters
    ----------
    path : one of the files, or their folder if it holds those of a single data set

    Raises
    ------
    DataError : a file is missing or malformed, or the folder holds several data sets
    """
    named = _name_of(path) if os.path.isfile(path) else None
    folder = path if named is None else path.parent
    sets: dict[str, dict[tuple[str, str], Path]] = {}
    for file in sorted(folder.iterdir()):
        if (name := _name_of(file)) is not None:
            kept = sets.setdefault(name.set, {}).setdefault(name[1:], file)
            if kept != file:
                logger.info(COMPRESSED_COPY, kept, file.name)
    if named is None and len(sets) > 1:
        first, second, *_ = sorted(sets)
        raise DataError(
            f"{folder} holds {len(sets)} data sets, such as {first} and {second}; give the path of "
            "a file of the one that you mean (unpack an archive first)."
        )
    chosen = next(iter(sets)) if named is None else named.set
    files = sets[chosen]
    if missing := [f"{split} {role}" for split, role in _NEEDED if (split, role) not in files]:
        raise DataError(f"{folder} lacks the {' and '.join(missing)} of {chosen}.")
    names = _mapping(folder / f"{chosen}-mapping.txt", folder)
    parts = {split: _read_part(split, chosen, files, folder, names) for split in ("train", "test")}
    return Reading(parts, tuple(names.values()) if names else None, name=chosen or None)


def class_of(numbers: Sequence[int]) -> tuple[int, str]:
    """A label and its class's name, by a row of a mapping: the label, then characters' codes.

    Raises ValueError or OverflowError if there is no label, or a number isn't a character's code.
    """
    label, *codes = numbers
    return label, "".join(map(chr, codes)) or str(label)


def named_labels(
    labels: NDArray[Any], names: Mapping[int, str], file: Path, mapping: str
) -> NDArray[np.str_]:
    """The class names of integer labels (n,).

    Parameters
    ----------
    names : by label
    file, mapping : where the labels and the names are from, in a message

    Raises
    ------
    DataError : a label has no name
    """
    labels = labels.astype(np.int64)
    unnamed = np.setdiff1d(labels, list(names))
    if len(unnamed):
        raise DataError(f"{file} has the label {unnamed[0]}, which {mapping} doesn't name.")
    return np.array([names[label] for label in labels.tolist()], np.str_)


def _name_of(file: Path) -> _IdxName | None:
    match = _NAME.fullmatch(file.name)
    if match is None or file.name.startswith("."):
        return None
    return _IdxName(match["set"], SPLIT_WORDS[match["split"].lower()], match["role"].lower())


def _read_part(
    split: str,
    name: str,
    files: Mapping[tuple[str, str], Path],
    folder: Path,
    names: Mapping[int, str],
) -> RawSplit:
    images = read_idx(files[split, "images"], 3, within=folder)
    labels: NDArray[Any] = read_idx(files[split, "labels"], 1, within=folder)
    if is_transposed(name):
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    if names:
        labels = named_labels(labels, names, files[split, "labels"], f"{name}-mapping.txt")
    return RawSplit(images, labels, files[split, "labels"])


def _mapping(file: Path, folder: Path) -> dict[int, str]:
    """Class names by label, sorted by label; empty if the file doesn't exist."""
    if not os.path.lexists(file):
        return {}
    text = read_text(file, DataError, most=_MOST_MAPPING, within=folder)
    names = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            label, name = class_of(list(map(int, line.split())))
        except (ValueError, OverflowError):
            raise DataError(
                f"{file}, line {number}: expected a label and the codes of its characters, all "
                "numbers."
            ) from None
        names[label] = name
    return dict(sorted(names.items()))
