"""The forms in which people have data sets: one row each, recognised by content."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fittingroom.data import idx
from fittingroom.data.arrays import (
    is_array_file,
    is_array_folder,
    read_array_file,
    read_array_folder,
)
from fittingroom.data.csv_files import is_csv_file, is_csv_folder, read_csv_file, read_csv_folder
from fittingroom.data.folder import is_image_folder, read_image_folder
from fittingroom.data.reading import RawSplit, Reading
from fittingroom.errors import DataError


@dataclass(frozen=True)
class Form:
    """A form of data.

    Attributes
    ----------
    title : what a path of that form is called
    recognise : whether a path, a file or a folder, is of that form
    read : reads both splits; raises `DataError`
    in_place : whether each fit may read it again; else fits read a copy as IDX files
    """

    title: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path], Reading]
    in_place: bool = False


def _is_idx_folder(folder: Path) -> bool:
    return bool(idx.find_files(folder))


def read_idx_folder(folder: Path) -> Reading:
    """Read the four IDX files of a folder; raises as `idx.read_folder`."""
    arrays = idx.read_folder(folder)
    return Reading(
        {
            split: RawSplit(arrays.arrays[images], arrays.arrays[labels], arrays.paths[labels])
            for split, images, labels in (
                ("train", idx.TRAIN_IMAGES, idx.TRAIN_LABELS),
                ("test", idx.TEST_IMAGES, idx.TEST_LABELS),
            )
        }
    )


def _read_pictures(folder: Path) -> Reading:
    parts, names, preparation = read_image_folder(folder)
    splits = {split: RawSplit(*pictures, folder) for split, pictures in parts.items()}
    return Reading(splits, names, preparation)


#: The first that recognises a path reads it.
FORMS = (
    Form(
        "the four IDX files of MNIST",
        _is_idx_folder,
        read_idx_folder,
        in_place=True,
    ),
    Form("class-named folders of pictures", is_image_folder, _read_pictures, in_place=True),
    Form("arrays in an .npz file", is_array_file, read_array_file),
    Form("a CSV file", is_csv_file, read_csv_file),
    Form("a folder of NumPy files", is_array_folder, read_array_folder),
    Form("a folder of CSV files", is_csv_folder, read_csv_folder),
)


def form_of(path: Path) -> Form:
    """The form of a file or folder.

    Raises
    ------
    DataError : it doesn't exist, or is in none that we know
    """
    if not os.path.lexists(path):  # False, too, for names that no file can have
        raise DataError(f"{path} doesn't exist.")
    try:
        for form in FORMS:
            if form.recognise(path):
                return form
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}.") from error
    forms = ", ".join(form.title for form in FORMS[:4])
    raise DataError(f"{path} holds no data set in a form that can be read: {forms}.")


def idx_sha256(read: Reading, name: str) -> str:
    """The hash of the IDX file that would hold a part of the data; "" if none could.

    Parameters
    ----------
    name : one of `idx.FILES`
    """
    part = read.parts.get("train" if name in (idx.TRAIN_IMAGES, idx.TRAIN_LABELS) else "test")
    if part is None:
        return ""
    if name in (idx.TRAIN_IMAGES, idx.TEST_IMAGES):
        return idx.array_sha256(part.images)
    labels = part.labels
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() > 255:
        return ""
    return idx.array_sha256(labels.astype(np.uint8))
