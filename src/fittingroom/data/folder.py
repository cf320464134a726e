"""Read a data set from folders of pictures: `train/CLASS/*.png` and `test/CLASS/*.png`."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fittingroom.data.pictures import Stored, StoredPart, read_pictures
from fittingroom.data.reading import SPLIT_WORDS, UNSPLIT, PictureOptions, Reading, split_of
from fittingroom.errors import DataError
from fittingroom.untrusted import require_inside

#: Of formats that data sets have, and photos hardly.
_OTHER_SUFFIXES = frozenset({".bmp", ".gif", ".pbm", ".pgm", ".ppm", ".tif", ".tiff"})
_LITTER = frozenset({"thumbs.db", "desktop.ini"})  # left by file managers, beside dot files

logger = logging.getLogger("fittingroom.data")


def is_image_folder(folder: Path) -> bool:
    """Whether a folder has folders for two parts of the data, or only folders of pictures."""
    if not os.path.isdir(folder):
        return False
    parts = _part_folders(folder)
    if len(parts) > 1:  # else it may hold files of another form
        return any(entry.is_dir() for each in parts.values() for entry in visible(each[0]))
    return _holds_classes(folder)


def _part_folders(folder: Path) -> dict[str, list[Path]]:
    """The folders of each part: "train", "test" and "validation".

    Exact names win. Without at least two of them, a folder counts whose name contains such a word
    and which holds folders of pictures.
    """
    named: dict[str, list[Path]] = {}
    alike: dict[str, list[Path]] = {}
    for entry in visible(folder):
        if (part := split_of(entry.name)) is None or not entry.is_dir():
            continue
        if entry.name.lower() in SPLIT_WORDS:
            named.setdefault(part, []).append(entry)
        if _holds_classes(entry):
            alike.setdefault(part, []).append(entry)
    return named if len(named) > 1 else alike


def _holds_classes(folder: Path) -> bool:
    """Whether a folder holds two folders or more and nothing else, each with a picture first."""
    entries = visible(folder)
    if len(entries) < 2 or not all(entry.is_dir() for entry in entries):
        return False
    firsts = [next(iter(visible(entry)), None) for entry in entries]
    return all(first is not None and _looks_like_picture(first) for first in firsts)


def _looks_like_picture(path: Path) -> bool:
    from fittingroom.data.decode import looks_like_picture

    return path.suffix.lower() in _OTHER_SUFFIXES or looks_like_picture(path)


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
    class_names = _common_class_names(list(folders.values()), folder)
    stored = {part: _pictures_in(each, class_names) for part, each in folders.items()}
    return read_pictures(folder, stored, class_names, options)


def _common_class_names(folders: Sequence[Path], root: Path) -> tuple[str, ...]:
    """The class names of all parts, no link leaving `root`; DataError if they differ."""
    reference = folders[0]
    class_names = _class_names(reference, root)
    for each in folders[1:]:
        for odd in sorted(set(class_names) ^ set(_class_names(each, root))):
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


def _class_names(split: Path, root: Path) -> tuple[str, ...]:
    entries = visible(split)
    for hidden in sorted(split.glob(".*/")):
        logger.info("skipping %s: its name begins with a dot", hidden)
    for entry in entries:
        require_inside(entry, root, DataError)
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
