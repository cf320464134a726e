"""The forms in which people have data sets: one row each, recognised by content."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fittingroom.data import idx
from fittingroom.data.archives import is_archive
from fittingroom.data.arrays import (
    is_array_file,
    is_array_folder,
    read_array_file,
    read_array_folder,
)
from fittingroom.data.csv_files import is_csv_file, is_csv_folder, read_csv_file, read_csv_folder
from fittingroom.data.folder import is_image_folder, read_image_folder, visible
from fittingroom.data.idx_sets import is_idx_set, read_idx_set
from fittingroom.data.mat_files import is_mat_file, read_mat_file
from fittingroom.data.parquet import is_parquet, read_parquet
from fittingroom.data.reading import AS_THEY_ARE, NO_PICTURES, PictureOptions, RawSplit, Reading
from fittingroom.errors import DataError


@dataclass(frozen=True)
class Form:
    """A form of data.

    Attributes
    ----------
    title : what a path of that form is called
    recognise : whether a path, a file or a folder, is of that form
    read : reads all parts, pictures by these options; raises `DataError`
    in_place : whether each fit may read it again; else fits read a copy as IDX files
    """

    title: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path, PictureOptions], Reading]
    in_place: bool = False


def _is_idx_folder(folder: Path) -> bool:
    return bool(idx.find_files(folder))


def read_idx_folder(folder: Path, *, only_bytes: bool = False) -> Reading:
    """Read the four IDX files of a folder; parameters and errors are those of `idx.read_folder`."""
    arrays = idx.read_folder(folder, only_bytes=only_bytes)
    return Reading(
        {
            split: RawSplit(arrays.arrays[images], arrays.arrays[labels], arrays.paths[labels])
            for split, images, labels in (
                ("train", idx.TRAIN_IMAGES, idx.TRAIN_LABELS),
                ("test", idx.TEST_IMAGES, idx.TEST_LABELS),
            )
        }
    )


def _of_one_size(read: Callable[[Path], Reading]) -> Callable[[Path, PictureOptions], Reading]:
    """A reader of arrays, which have one size and are refused whole if they are damaged."""

    def read_arrays(path: Path, options: PictureOptions) -> Reading:
        if options != AS_THEY_ARE:
            raise DataError(NO_PICTURES.format(path))
        return read(path)

    return read_arrays


#: How many folders deep in an archive a data set is looked for.
DEEPEST = 4
#: The first that recognises a path reads it.
FORMS = (
    Form(
        "the four IDX files of MNIST",
        _is_idx_folder,
        _of_one_size(read_idx_folder),
        in_place=True,
    ),
    Form("class-named folders of pictures", is_image_folder, read_image_folder, in_place=True),
    Form("arrays in an .npz file", is_array_file, _of_one_size(read_array_file)),
    Form("a CSV file", is_csv_file, _of_one_size(read_csv_file)),
    Form("a folder of NumPy files", is_array_folder, _of_one_size(read_array_folder)),
    Form("a folder of CSV files", is_csv_folder, _of_one_size(read_csv_folder)),
    Form("Parquet files", is_parquet, read_parquet),
    Form("IDX files of another name", is_idx_set, _of_one_size(read_idx_set)),
    Form("a MATLAB file as EMNIST's", is_mat_file, _of_one_size(read_mat_file)),
)


def form_of(path: Path) -> Form:
    """The form of a file or folder.

    Raises
    ------
    DataError : it doesn't exist, or is in none that we know
    """
    if not os.path.lexists(path):  # False, too, for names that no file can have
        raise DataError(f"{path} doesn't exist.")
    form = _recognised(path)
    if form is None:
        raise _unknown(path)
    return form


def is_read_in_place(path: Path) -> bool:
    """Whether each fit may read a data set again from its path; else fits read a copy as IDX."""
    return not is_archive(path) and form_of(path).in_place


def data_in(folder: Path) -> Path:
    """The data set in an unpacked archive: the folder, or the only file or folder below it.

    Raises
    ------
    DataError : there is none, or more than one
    """
    level = [folder]
    for _ in range(DEEPEST):
        found = [path for path in level if _recognised(path) is not None]
        if len(found) > 1:
            raise DataError(
                f"{found[0]} and {found[1]} are different data sets; unpack the archive and give "
                "the path of the one that you mean."
            )
        if found:
            return found[0]
        level = [path for each in level if each.is_dir() for path in visible(each)]
    raise _unknown(folder)


def _unknown(path: Path) -> DataError:
    forms = ", ".join(form.title for form in FORMS[:4])
    return DataError(f"{path} holds no data set in a form that can be read: {forms}.")


def _recognised(path: Path) -> Form | None:
    """The form of an existing path; None if it is in none that we know."""
    try:
        return next((form for form in FORMS if form.recognise(path)), None)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}.") from error


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
