"""Read a data set from folders of pictures: `train/CLASS/*.png` and `test/CLASS/*.png`."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from fittingroom.data.reading import SPLIT_WORDS, UNSPLIT
from fittingroom.data.rendering import Preparation, on_black
from fittingroom.errors import DataError
from fittingroom.untrusted import require_inside

SPLITS = ("train", "test")
#: Pillow's formats of plain pictures: none starts a program or holds anything else.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
#: Bytes of images that are always allowed; beyond that, how many times larger than their files they
#: may be. Drawings of two colours reach 100, deflate's limit is 1,032.
ALWAYS_ROOM, MAX_GROWTH = 2**28, 500
_LITTER = frozenset({"thumbs.db", "desktop.ini"})  # left by file managers, beside dot files

Bytes = NDArray[np.uint8]
Pictures = tuple[Bytes, NDArray[np.int64]]

logger = logging.getLogger("fittingroom.data")


def is_image_folder(folder: Path) -> bool:
    """Whether a folder has the sub-folders `train` and `test`, or only folders of pictures."""
    if not os.path.isdir(folder):
        return False
    return _is_split(folder) or _holds_classes(folder)


def _is_split(folder: Path) -> bool:
    return all(os.path.isdir(folder / split) for split in SPLITS)


def _holds_classes(folder: Path) -> bool:
    """Whether a folder holds two folders or more and nothing else, each with a picture first."""
    from fittingroom.data.decode import looks_like_picture

    entries = visible(folder)
    if len(entries) < 2 or not all(entry.is_dir() for entry in entries):
        return False
    firsts = [next(iter(visible(entry)), None) for entry in entries]
    return all(first is not None and looks_like_picture(first) for first in firsts)


def read_image_folder(
    folder: Path,
) -> tuple[dict[str, Pictures], tuple[str, ...], Preparation]:
    """Read every picture under `train` and `test`; the class names are the sorted folder names.

    Where the folders of the classes aren't below `train` and `test`, the data are without a split.
    A folder `val`, `valid`, `validation` or `dev` beside them is the official validation part.
    Pictures may have any size, the same for all. Colour becomes grey by the weights of ITU-R 601
    (0.299 R + 0.587 G + 0.114 B), and EXIF orientation is applied. If any picture has transparency,
    all are laid on one background: black if the visible pixels of the training pictures are nearer
    to white than to black, else white.

    Returns
    -------
    parts : uint8 images (n, height, width) and int64 labels (n,) of "train", "test" and, if there
        is one, "validation"; or of `UNSPLIT`
    class_names : in the labels' order
    preparation : says which background pictures are laid on

    Raises
    ------
    DataError
        Two splits differ in classes, a class is empty, a file isn't a picture of at most 8 bits
        per channel, or two pictures differ in size.
    """
    folders = _split_folders(folder)
    for each in folders.values():
        require_inside(each, folder, DataError)
    reference = next(iter(folders))  # the others must have its classes and its size
    class_names = _class_names(folders[reference])
    for each in folders.values():
        for odd in sorted(set(class_names) ^ set(_class_names(each))):
            has, lacks = folders[reference], each
            if odd not in class_names:
                has, lacks = lacks, has
            raise DataError(f"{has} has a class folder {odd!r}, but {lacks} doesn't.")
    paths = {split: _picture_paths(each, class_names) for split, each in folders.items()}
    first = paths[reference][0][0]
    picture, alpha = _read_picture(first, folder)
    layers = 1 if alpha is None else 2
    size = picture.shape
    _require_room(folder, [path for part in paths.values() for path, _ in part], size, layers)
    read = {split: _read_split(part, first, size, folder) for split, part in paths.items()}
    preparation: Preparation = "image"
    if any(alphas for _, alphas in read.values()):
        if _is_bright(*read[reference]):
            preparation = "image-on-black"
            for images, alphas in read.values():
                for position, alpha in alphas.items():
                    images[position] = on_black(images[position], alpha)
        ground = "white" if preparation == "image" else "black"
        logger.info("%s: pictures are laid on a %s background", folder, ground)
    parts = {
        split: (images, np.array([label for _, label in paths[split]], dtype=np.int64))
        for split, (images, _) in read.items()
    }
    return parts, class_names, preparation


def _split_folders(folder: Path) -> dict[str, Path]:
    """The folder of each split; a validation part is optional."""
    if not _is_split(folder):
        return {UNSPLIT: folder}
    folders = {split: folder / split for split in SPLITS}
    for entry in visible(folder):
        if entry.is_dir() and SPLIT_WORDS.get(entry.name.lower()) == "validation":
            if "validation" in folders:
                raise DataError(
                    f"{folders['validation']} and {entry} both look like the validation part; keep "
                    "one of them."
                )
            folders["validation"] = entry
    return folders


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


def _picture_paths(split: Path, class_names: tuple[str, ...]) -> list[tuple[Path, int]]:
    paths = []
    for label, name in enumerate(class_names):
        members = visible(split / name)
        if not members:
            raise DataError(f"{split / name} holds no picture.")
        paths += [(path, label) for path in members]
    return paths


def _read_split(
    paths: list[tuple[Path, int]], first: Path, size: tuple[int, ...], folder: Path
) -> tuple[Bytes, dict[int, Bytes]]:
    """Pictures (n, height, width) on white, and by position the opacity of those that have any."""
    images = np.empty((len(paths), *size), dtype=np.uint8)
    alphas = {}
    for position, (path, _) in enumerate(paths):
        picture, alpha = _read_picture(path, folder)
        if picture.shape != size:
            raise DataError(
                f"{path} is {picture.shape[1]}×{picture.shape[0]} pixels, but {first} is "
                f"{size[1]}×{size[0]}; make all pictures the same size."
            )
        images[position] = picture
        if alpha is not None:
            alphas[position] = alpha
    return images, alphas


def _is_bright(images: Bytes, alphas: dict[int, Bytes]) -> bool:
    """Whether the visible pixels of these pictures are nearer to white than to black."""
    visible = (on_black(images[position], alpha) for position, alpha in alphas.items())
    brightness = sum(float(image.sum(dtype=np.float64)) for image in visible)
    opacity = sum(float(alpha.sum(dtype=np.float64)) for alpha in alphas.values())
    return brightness > opacity / 2


def _read_picture(path: Path, folder: Path) -> tuple[Bytes, Bytes | None]:
    """A picture in grey on white, and its opacity, None if fully opaque; both (height, width)."""
    from PIL import ImageOps  # slow to import, and only pictures need it

    from fittingroom.data.decode import on_white, open_picture

    with open_picture(path, FORMATS, within=folder) as picture:
        if "jpeg" in str(picture.info.get("compression", "")):  # a TIFF may hold one
            raise DataError(f"{path} is a JPEG in a TIFF; save it as one or the other.")
        if picture.mode.startswith(("I", "F")):
            raise DataError(f"{path} has more than 8 bits per pixel; convert it to 8 bits.")
        upright, alpha = on_white(ImageOps.exif_transpose(picture))
        return np.asarray(upright.convert("L"), dtype=np.uint8), alpha


def _require_room(
    folder: Path, paths: Collection[Path], size: tuple[int, ...], layers: int
) -> None:
    """Refuse more pixels than files of these sizes plausibly hold, or than fit into memory."""
    needed = len(paths) * math.prod(size) * layers
    if needed < ALWAYS_ROOM:
        return
    files = {(status.st_dev, status.st_ino): status.st_size for status in map(os.stat, paths)}
    on_disk, free = sum(files.values()), psutil.virtual_memory().available
    if needed > MAX_GROWTH * on_disk:
        raise DataError(
            f"{folder} holds {on_disk:,} bytes of pictures, which would become {needed:,}; that "
            "isn't a data set."
        )
    if needed > free:
        raise DataError(
            f"{folder}: its {len(paths):,} pictures of {size[1]}×{size[0]} pixels take "
            f"{needed:,} bytes of memory, but only {free:,} are free; make the pictures smaller."
        )
