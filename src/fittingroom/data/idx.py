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

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.mapped import pieces
from fittingroom.data.stream import CHUNK, open_stream, read_up_to
from fittingroom.errors import DataError
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

#: Types of elements, by the third byte of an IDX file.
_TYPES = {
    0x08: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}
_LARGEST = 1 << 36  # 64 GiB: no header may promise more

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class IdxFolder:
    """The four files of one data set, read.

    Attributes
    ----------
    paths : of each file, by its name in `FILES`
    arrays : uint8 images (n, height, width) and uint8 labels (n,), by the same names
    """

    paths: Mapping[str, Path]
    arrays: Mapping[str, Bytes]

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


def read_folder(folder: Path) -> IdxFolder:
    """Read the four IDX files of `folder`, each `.gz` or not.

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
    arrays = {name: read_idx(paths[name], DIMENSIONS[name], within=folder) for name in FILES}
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


def read_idx(path: Path, dimensions: int, *, within: Path | None = None) -> Bytes:
    """Read one IDX file of unsigned bytes, decompressing it if its name ends in `.gz`.

    The length must be exactly what the header promises, and a gzip stream is read to its end, so
    that its checksum is verified. At most one byte more than promised is ever decompressed. An
    uncompressed file of `MAP_FROM` bytes or more is memory-mapped, not read.

    Returns
    -------
    uint8 array with `dimensions` axes, read-only; a memory map if the file is that large

    Raises
    ------
    DataError
        One sentence that names the file and what is wrong with it.
    """
    with open_stream(path, within) as read:
        header = 4 + 4 * dimensions
        shape = _read_shape(path, read_up_to(read, header), dimensions)
        promised = prod(shape)
        if path.suffix != ".gz" and (size := path.stat().st_size) >= MAP_FROM:
            _check_length(path, promised, size - header)
            return np.memmap(path, np.uint8, mode="r", offset=header, shape=shape)
        payload = read_up_to(read, promised)
        _check_length(path, promised, len(payload) + len(read(1)))
    array = np.frombuffer(payload, dtype=np.uint8).reshape(shape)
    array.flags.writeable = False
    return array


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


def _read_shape(path: Path, header: bytearray, dimensions: int) -> tuple[int, ...]:
    if not header:
        raise DataError(f"{path} is empty.")
    magic, expected = header[:4].hex(), f"{0x0800 + dimensions:08x}"
    if magic != expected:
        raise DataError(_other_file(path, bytes(header[:4]), dimensions))
    if len(header) < 4 + 4 * dimensions:
        raise DataError(f"{path} is truncated: its header ends after {len(header)} bytes.")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    sizes = " × ".join(map(str, shape))
    if 0 in shape:
        raise DataError(f"{path} holds nothing: its header says {sizes}.")
    if prod(shape) > _LARGEST:
        raise DataError(f"{path} can't be true: its header promises {sizes} = {prod(shape)} bytes.")
    return shape


def _other_file(path: Path, magic: bytes, dimensions: int) -> str:
    """Say what a file is that doesn't begin like unsigned bytes with so many dimensions."""
    evidence = f"it begins with {magic.hex()} instead of {0x0800 + dimensions:08x}"
    if magic.startswith(b"\x1f\x8b"):
        remedy = "decompress it once" if path.suffix == ".gz" else "rename it to end in .gz"
        return f"{path} is compressed ({evidence}); {remedy}."
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        return f"{path} isn't an IDX file: {evidence}."
    if magic[2] != 0x08:
        return (
            f"{path} holds {_TYPES[magic[2]]} ({evidence}); convert them to unsigned bytes, "
            "pixels 0..255 and labels from 0."
        )
    hint = {1: "these look like labels", 3: "these look like images"}.get(
        magic[3], "convert colour images to grey, (height, width) each"
    )
    return f"{path} has {magic[3]} dimension(s) instead of {dimensions} ({evidence}); {hint}."


def _check_length(path: Path, promised: int, actual: int) -> None:
    if actual < promised:
        raise DataError(
            f"{path} is truncated: its header promises {promised} bytes of data, it holds {actual}."
        )
    if actual > promised:
        raise DataError(f"{path} has trailing bytes after the {promised} its header promises.")
