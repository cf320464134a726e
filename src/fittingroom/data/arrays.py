"""Read a data set from NumPy's files: one `.npz`, or a folder of `.npz` or `.npy` files.

Arrays are known by their names, or by those of their files: `x_train` and `y_train` as Keras has
them, `train_images` and `train_labels` as MedMNIST, `kmnist-train-imgs.npz` with a single array as
KMNIST. Nothing is unpickled.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fittingroom.array_file import open_arrays, read_array
from fittingroom.data.pixels import images_of, labels_of
from fittingroom.data.reading import COMPRESSED_COPY, UNSPLIT, RawSplit, Reading, split_of
from fittingroom.errors import DataError, InputError

#: Words by which images and labels are called in names of arrays and files.
ROLE_WORDS = {
    **dict.fromkeys(("x", "image", "images", "img", "imgs", "pixels", "data"), "images"),
    **dict.fromkeys(("y", "label", "labels", "target", "targets"), "labels"),
}

logger = logging.getLogger("fittingroom.data")


class _StoredArray(NamedTuple):
    """Where an array is: its file, and its name in an `.npz` (None for an `.npy`)."""

    file: Path
    name: str | None

    def __str__(self) -> str:
        return f"{self.file}" if self.name is None else f"{self.name} in {self.file}"


def is_array_file(path: Path) -> bool:
    """Whether a file is an `.npz` that holds the four arrays of a data set."""
    return path.suffix.lower() == ".npz" and os.path.isfile(path)


def is_array_folder(path: Path) -> bool:
    """Whether a folder holds `.npz` or `.npy` files whose names say what they hold."""
    roles = {_role_of(file.stem) for file in _files(path)} if os.path.isdir(path) else set()
    return roles >= _NEEDED or roles >= _SPLITS[UNSPLIT]


def read_array_file(path: Path) -> Reading:
    """Read an `.npz` with both splits, such as Keras's `mnist.npz`.

    Raises
    ------
    DataError : arrays are missing, hold Python objects, or are no grey images and labels
    """
    return _read(_places_in(path), path)


def read_array_folder(path: Path) -> Reading:
    """Read `.npy` files, or `.npz` files with one array each; raises as `read_array_file`.

    Of `x_train.npy` and `x_train.npz`, the former is read.
    """
    places: dict[tuple[str, str], _StoredArray] = {}
    for file in _files(path):
        role = _role_of(file.stem)
        if role in places and places[role].file.stem == file.stem:
            logger.info(COMPRESSED_COPY, places[role].file, file.name)
        elif role in places:
            raise DataError(f"{places[role].file} and {file} both hold the {role[0]} {role[1]}.")
        elif role is not None:
            places[role] = _StoredArray(
                file, None if file.suffix == ".npy" else _only_array(file, path)
            )
    return _read(_with_all_parts(places, path, [file.name for file in _files(path)]), path)


_SPLITS = {
    split: {(split, role) for role in ("images", "labels")}
    for split in ("train", "test", "validation", UNSPLIT)
}
#: What each data set with a split needs; a validation part is optional.
_NEEDED = _SPLITS["train"] | _SPLITS["test"]


def _files(folder: Path) -> list[Path]:
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix in (".npy", ".npz") and not entry.name.startswith(".")
    )


def _role_of(name: str) -> tuple[str, str] | None:
    """Split and role of an array by its name; None if it says no role, or several."""
    words = re.split(r"[^a-z]+", name.lower())
    roles = {ROLE_WORDS[word] for word in words if word in ROLE_WORDS}
    return (split_of(name) or UNSPLIT, roles.pop()) if len(roles) == 1 else None


def _places_in(path: Path) -> dict[tuple[str, str], _StoredArray]:
    with open_arrays(path, DataError) as file:
        names, objects = list(file.headers), file.objects
    places: dict[tuple[str, str], _StoredArray] = {}
    for name in names:
        role = _role_of(name)
        if role in places:
            raise DataError(f"{path} holds both {places[role].name} and {name}; keep one.")
        if role is not None:
            places[role] = _StoredArray(path, name)
    return _with_all_parts(places, path, sorted({*names, *objects}), bool(objects))


def _with_all_parts(
    places: dict[tuple[str, str], _StoredArray],
    path: Path,
    names: Sequence[str],
    has_objects: bool = False,
) -> dict[tuple[str, str], _StoredArray]:
    """The arrays, if no images or labels of a split are missing; `names` are all that was found."""
    needed = _NEEDED
    if not places.keys() & (_NEEDED | _SPLITS["validation"]) and places.keys() >= _SPLITS[UNSPLIT]:
        needed = _SPLITS[UNSPLIT]
    elif places.keys() & _SPLITS["validation"]:
        needed = needed | _SPLITS["validation"]
    missing = [f"{split} {role}" for split, role in sorted(needed - places.keys())]
    if missing:
        held = ", ".join(repr(name) for name in names[:8]) or "no arrays"
        refused = "; arrays of Python objects are never read" if has_objects else ""
        raise DataError(
            f"{path} lacks the {' and '.join(missing)}; name its arrays x_train, y_train, x_test "
            f"and y_test. It holds {held}{refused}."
        )
    return places


def _only_array(file: Path, folder: Path) -> str:
    """The name of the single array in an `.npz`."""
    with open_arrays(file, DataError, within=folder) as arrays:
        names = list(arrays.headers)
    if len(names) != 1:
        raise DataError(f"{file} holds {len(names)} arrays; an .npz in a folder must hold one.")
    return names[0]


def _read(places: Mapping[tuple[str, str], _StoredArray], path: Path) -> Reading:
    is_split = bool(places.keys() & _NEEDED)
    parts = {
        split: RawSplit(
            _images(places[split, "images"], path),
            _labels(places[split, "labels"], path),
            places[split, "labels"].file,
        )
        for split in (("train", "test", "validation") if is_split else (UNSPLIT,))
        if _SPLITS[split] & places.keys()
    }
    return Reading(parts)


def _images(place: _StoredArray, path: Path) -> NDArray[np.uint8]:
    with _explained(place):
        images = images_of(_array(place, path), "its images")
        return np.ascontiguousarray(images)


def _labels(place: _StoredArray, path: Path) -> NDArray[Any]:
    with _explained(place):
        return labels_of(_array(place, path), "its labels")


def _array(place: _StoredArray, path: Path) -> NDArray[Any]:
    within = path if os.path.isdir(path) else None
    if place.name is None:
        return read_array(place.file, DataError, within=within)
    with open_arrays(place.file, DataError, within=within) as file:
        (array,) = file.read(place.name)
        return array


@contextmanager
def _explained(place: _StoredArray) -> Iterator[None]:
    """Say which array an error is about."""
    try:
        yield
    except InputError as error:
        raise DataError(f"{place}: {error}") from error
