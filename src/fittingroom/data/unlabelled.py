"""Images without labels in one file, such as the test file of a competition."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fittingroom.array_file import read_array
from fittingroom.data.csv_files import is_csv_file, read_csv_images
from fittingroom.data.idx import read_idx
from fittingroom.data.pixels import images_of
from fittingroom.errors import DataError, InputError

_IDX = re.compile(r"idx3-ubyte(\.gz)?$")


def holds_images(path: Path) -> bool:
    """Whether a path is a CSV, `.npy` or IDX file, by its name."""
    is_array = path.suffix.lower() == ".npy" or _IDX.search(path.name) is not None
    return is_csv_file(path) or (is_array and os.path.isfile(path))


def read_images(path: Path) -> NDArray[np.uint8]:
    """The images of such a file, (n, h, w); labels beside them are left out.

    Raises
    ------
    DataError : the file is malformed, or holds no grey images
    """
    if is_csv_file(path):
        return read_csv_images(path)
    if _IDX.search(path.name):
        return read_idx(path, 3)
    try:
        return images_of(read_array(path, DataError), "its images")
    except InputError as error:
        raise DataError(f"{path}: {error}") from error
