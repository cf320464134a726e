"""Read and write IDX files, the format of MNIST.

An IDX file is a big-endian header (a magic number, then one 32-bit integer per dimension) followed
by the bytes. Format: LeCun, Cortes, Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.mapped import pieces
from fittingroom.data.pixels import images_of, labels_of
from fittingroom.data.stream import CHUNK, open_stream, read_up_to
from fittingroom.errors import DataError, InputError
from fittingroom.files import file_aside

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
DIMENSIONS = {TRAIN_IMAGES: 3, TRAIN_LABELS: 1, TEST_IMAGES: 3, TEST_LABELS: 1}
FILES = tuple(DIMENSIONS)

#: Bytes from which an uncompressed file is memory-mapped, not read: a copy or two would take half
#: of a small laptop's memory.
MAP_FROM = 1 << 30

_BYTES = 0x08
#: Types of elements, by the third byte of an IDX file.
_TYPES: dict[int, np.dtype[Any]] = {
    _BYTES: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_LARGEST = 1 << 36  # 64 GiB: no header may promise more

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class IdxFolder:
    """The four files of one data set, read.

    Attributes
    ----------
    paths : of each file, by its name in `FILES`
    arrays : uint8 images (n, height, width) and labels (n,), by the same names
    """

    paths: Mapping[str, Path]
    arrays: Mapping[str, NDArray[Any]]

    def sha256(self) -> dict[str, str]:
        """The hash of each decompressed file, by its name."""
        return {name: array_sha256(array) for name, array in self.arrays.items()}


def find_files(folder: Path) -> dict[str, Path]:
    """Paths of the four files as far as `folder` holds them, by name; plain ones before `.gz`."""
    paths = {}
    for name in FILES:
        for path in (folder / name, folder / f"{name}.gz"):
            if os.path.isfile(path):  # False where Path.is_file() may raise
                paths[name] = path
                break
    return paths


def read_folder(folder: Path, *, only_bytes: bool = False) -> IdxFolder:
    """Read the four IDX files of `folder`, each `.gz` or not.

    Parameters
    ----------
    only_bytes : see :func:`read_idx`

    Raises
    ------
    DataError
        A file is missing or malformed, images and labels differ in number, or the images of the
        two splits differ in size.
    """
    paths = find_files(folder)
    missing = [name for name in FILES if name not in paths]
    for path in (folder / f"{name}{end}" for name in missing for end in ("", ".gz")):
        if os.path.lexists(path):
            read_idx(path, 1, within=folder)  # raises and says why it isn't a file
    if missing:
        raise DataError(f"{folder} lacks {' and '.join(missing)} (each may also end in .gz).")
    arrays = {
        name: read_idx(paths[name], DIMENSIONS[name], within=folder, only_bytes=only_bytes)
        for name in FILES
    }
    for images, labels in ((TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS)):
        if len(arrays[images]) != len(arrays[labels]):
            raise DataError(
                f"{paths[images]} holds {len(arrays[images])} images, "
                f"but {paths[labels]} holds {len(arrays[labels])} labels."
            )
    if arrays[TRAIN_IMAGES].shape[1:] != arrays[TEST_IMAGES].shape[1:]:
        sizes = ["×".join(map(str, arrays[n].shape[1:])) for n in (TRAIN_IMAGES, TEST_IMAGES)]
        raise DataError(
            f"{paths[TRAIN_IMAGES]} holds images of {sizes[0]} pixels, "
            f"but {paths[TEST_IMAGES]} of {sizes[1]}."
        )
    return IdxFolder(paths, arrays)


def read_idx(
    path: Path, dimensions: int, *, within: Path | None = None, only_bytes: bool = False
) -> NDArray[Any]:
    """Read one IDX file of images or labels, decompressing it if its name ends in `.gz`.

    The length must be exactly what the header promises, and a gzip stream is read to its end, so
    that its checksum is verified. At most one byte more than promised is ever decompressed. An
    uncompressed file of `MAP_FROM` bytes or more is memory-mapped, not read.

    Parameters
    ----------
    path : the file
    dimensions : 3 for images, 1 for labels; of labels that aren't bytes, (n, columns), the first
        column is read, which in QMNIST is the class
    within : the folder that it belongs to, which a link must not leave
    only_bytes : refuse elements of another type, though they may have the same values

    Returns
    -------
    read-only: uint8 images (n, height, width), a memory map if the file is that large; or labels
    (n,), uint8 or, from elements of another type, int64

    Raises
    ------
    DataError
        One sentence that names the file and what is wrong with it.
    """
    with open_stream(path, within) as read:
        magic = bytes(read_up_to(read, 4))
        _check_magic(path, magic, dimensions)
        dtype, axes = _TYPES[magic[2]], magic[3]
        if only_bytes and dtype != np.uint8:
            raise DataError(f"{path} holds elements of the type {dtype}, not bytes.")
        shape = _read_shape(path, read_up_to(read, 4 * axes), axes, dtype)
        promised, header = prod(shape) * dtype.itemsize, 4 + 4 * axes
        if dtype == np.uint8 and path.suffix != ".gz" and (size := path.stat().st_size) >= MAP_FROM:
            _check_length(path, promised, size - header)
            return np.memmap(path, np.uint8, mode="r", offset=header, shape=shape)
        payload = read_up_to(read, promised)
        _check_length(path, promised, len(payload) + len(read(1)))
    array: NDArray[Any] = np.frombuffer(payload, dtype).reshape(shape)
    if dtype != np.uint8:
        array = _converted(path, array, dimensions)
    array.flags.writeable = False
    return array


def _converted(path: Path, array: NDArray[Any], dimensions: int) -> NDArray[Any]:
    """Images or labels whose elements aren't bytes."""
    try:
        if dimensions == DIMENSIONS[TRAIN_IMAGES]:
            return images_of(array, "its images")
        return labels_of(array if array.ndim == 1 else array[:, 0], "its labels")
    except InputError as error:
        raise DataError(f"{path}: {error}") from error


def write_idx(path: Path, array: Bytes) -> None:
    """Write uint8 images (n, height, width) or labels (n,) as an uncompressed IDX file.

    It is written aside and renamed, so `array` may be a memory map of the file that is replaced.
    """
    with file_aside(path, DataError) as partial, partial.open("wb") as file:
        file.write(_header(array))
        for piece in pieces(array):
            file.write(piece.data)


def array_sha256(array: Bytes) -> str:
    """The SHA-256 of the decompressed IDX file that holds `array`."""
    digest = hashlib.sha256(_header(array))
    for piece in pieces(array):
        digest.update(piece.data)
    return digest.hexdigest()


def file_sha256(path: Path, limit: int) -> str:
    """The SHA-256 of a file's decompressed bytes, IDX or not.

    Raises
    ------
    DataError
        The file can't be read or decompressed, or holds more than `limit` bytes.
    """
    digest, total = hashlib.sha256(), 0
    with open_stream(path) as read:
        while chunk := read(CHUNK):
            total += len(chunk)
            if total > limit:
                raise DataError(f"{path} holds more than {limit} bytes.")
            digest.update(chunk)
    return digest.hexdigest()


def _header(array: Bytes) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)


def _check_magic(path: Path, magic: bytes, dimensions: int) -> None:
    """Refuse a file that doesn't begin like one of so many dimensions."""
    if not magic:
        raise DataError(f"{path} is empty.")
    if magic == bytes([0, 0, _BYTES, dimensions]):
        return
    evidence = f"it begins with {magic.hex()} instead of {0x0800 + dimensions:08x}"
    if magic.startswith(b"\x1f\x8b"):
        remedy = "decompress it once" if path.suffix == ".gz" else "rename it to end in .gz"
        raise DataError(f"{path} is compressed ({evidence}); {remedy}.")
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise DataError(f"{path} isn't an IDX file: {evidence}.")
    has_columns = magic[2] != _BYTES and dimensions == 1 and magic[3] == 2
    if magic[3] != dimensions and not has_columns:
        hint = {1: "these look like labels", 3: "these look like images"}.get(
            magic[3], "convert colour images to grey, (height, width) each"
        )
        raise DataError(
            f"{path} has {magic[3]} dimension(s) instead of {dimensions} ({evidence}); {hint}."
        )


def _read_shape(
    path: Path, sizes: bytearray, dimensions: int, dtype: np.dtype[Any]
) -> tuple[int, ...]:
    """The shape in the rest of a header."""
    if len(sizes) < 4 * dimensions:
        raise DataError(f"{path} is truncated: its header ends after {4 + len(sizes)} bytes.")
    shape = struct.unpack(f">{dimensions}I", sizes)
    described = " × ".join(map(str, shape))
    if 0 in shape:
        raise DataError(f"{path} holds nothing: its header says {described}.")
    if (promised := prod(shape) * dtype.itemsize) > _LARGEST:
        raise DataError(
            f"{path} is damaged or too large: its header promises {described}, {promised} bytes."
        )
    return shape


def _check_length(path: Path, promised: int, actual: int) -> None:
    if actual < promised:
        raise DataError(
            f"{path} is truncated: its header promises {promised} bytes of data, it holds {actual}."
        )
    if actual > promised:
        raise DataError(f"{path} has trailing bytes after the {promised} its header promises.")
