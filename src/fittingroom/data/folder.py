"""Read a data set from folders of pictures: `train/CLASS/*.png` and `test/CLASS/*.png`."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fittingroom.data.pictures import Stored, StoredPart, read_pictures
from fittingroom.data.reading import UNSPLIT, PictureOptions, Reading, split_of
from fittingroom.errors import DataError
from fittingroom.untrusted import require_inside

_LITTER = frozenset({"thumbs.db", "desktop.ini"})  # left by file managers, beside dot files

logger = logging.getLogger("fittingroom.data")


def is_image_folder(folder: Path) -> bool:
    """Whether a folder has folders for two parts of the data, or only folders of pictures."""
    if not os.path.isdir(folder):
        return False
    return len(_part_folders(folder)) > 1 or _holds_classes(folder)


def _part_folders(folder: Path) -> dict[str, list[Path]]:
    """The folders whose names speak of "train", "test" or "validation", by that."""
    found: dict[str, list[Path]] = {}
    for entry in visible(folder):
        if (part := split_of(entry.name)) is not None and entry.is_dir():
            found.setdefault(part, []).append(entry)
    return found


def _holds_classes(folder: Path) -> bool:
    """Whether a folder holds two folders or more and nothing else, each with a picture first."""
    from fittingroom.data.decode import looks_like_picture

    entries = visible(folder)
    if len(entries) < 2 or not all(entry.is_dir() for entry in entries):
        return False
    firsts = [next(iter(visible(entry)), None) for entry in entries]
    return all(first is not None and looks_like_picture(first) for first in firsts)


def read_image_folder(folder: Path, options: PictureOptions) -> Reading:
    """Read every picture under `train` and `test`; the class names are the sorted folder names.

    Where the folders of the classes aren't below `train` and `test`, the data are without a split.
    A folder `val`, `valid`, `validation` or `dev` beside them is the official validation part;
    names such as `Training` or `test_set` do as well. How the pictures become images: see
    :func:`.pictures.read_pictures`.

    Raises
    ------
    DataError
        Two parts differ in classes, a class is empty, or see :func:`.pictures.read_pictures`.
    """
    folders = _split_folders(folder)
    for each in folders.values():
        require_inside(each, folder, DataError)
    class_names = _common_class_names(list(folders.values()))
    stored = {part: _pictures_in(each, class_names) for part, each in folders.items()}
    return read_pictures(folder, stored, class_names, options)


def _common_class_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """The class names of all parts; DataError if they differ."""
    reference = folders[0]
    class_names = _class_names(reference)
    for each in folders[1:]:
        for odd in sorted(set(class_names) ^ set(_class_names(each))):
            has, lacks = (reference, each) if odd in class_names else (each, reference)
            raise DataError(f"{has} has a class folder {odd!r}, but {lacks} doesn't.")
    return class_names


def _split_folders(folder: Path) -> dict[str, Path]:
    """The folder of each part; a validation part is optional."""
    found = _part_folders(folder)
    if len(found) < 2:
        return {UNSPLIT: folder}
    for part, folders in found.items():
        if len(folders) > 1:
            raise DataError(
                f"{folders[0]} and {folders[1]} both look like the {part} part; keep one of them."
            )
    for part in ("train", "test"):
        if part not in found:
            others = " and ".join(sorted(found))
            raise DataError(
                f"{folder} has folders for {others}, but none for {part}; name one {part}."
            )
    return {part: found[part][0] for part in ("train", "test", "validation") if part in found}


def visible(folder: Path) -> list[Path]:
    """The entries of a folder by name, without hidden files and what file managers leave.

    Raises
    ------
    DataError : it can't be read
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} can't be read: {error.strerror or error}.") from error
    return [p for p in entries if not p.name.startswith(".") and p.name.lower() not in _LITTER]


def _class_names(split: Path) -> tuple[str, ...]:
    entries = visible(split)
    for hidden in sorted(split.glob(".*/")):
        logger.info("skipping %s: its name begins with a dot", hidden)
    for entry in entries:
        require_inside(entry, split.parent, DataError)
        if not entry.is_dir():
            raise DataError(f"{entry} isn't a class folder; {split} may hold only folders.")
    if not entries:
        raise DataError(f"{split} holds no class folder.")
    return tuple(entry.name for entry in entries)


def _pictures_in(split: Path, class_names: tuple[str, ...]) -> StoredPart:
    """The pictures of all classes."""
    pictures, counts = [], []
    for name in class_names:
        members = visible(split / name)
        if not members:
            raise DataError(f"{split / name} holds no picture.")
        pictures += [Stored(str(path), path) for path in members]
        counts.append(len(members))
    return StoredPart(pictures, np.repeat(np.arange(len(class_names)), counts), split)
