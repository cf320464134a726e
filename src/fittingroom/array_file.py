"""Read arrays from untrusted `.npz` and `.npy` files: headers are checked before data are read."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fittingroom.errors import FittingroomError
from fittingroom.untrusted import open_untrusted

#: Limits of one file: bytes that its arrays take in memory, and number of arrays.
MAX_BYTES, MAX_ARRAYS = 2**29, 1000
#: Limits of one array, in bytes: its header, and its entry in the zip directory.
MAX_HEADER_BYTES, MAX_ENTRY_BYTES = 10_000, 500


@dataclass(frozen=True)
class ArrayHeader:
    """An array's type and shape, as its header declares them."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


class ArrayFile:
    """An open `.npz` file: the headers of its arrays, and the arrays on demand.

    Attributes
    ----------
    headers : by array name
    objects : names of arrays of Python objects, which are never read
    """

    def __init__(self, file: BinaryIO) -> None:
        _check_directory(file)
        self._file = zipfile.ZipFile(file)
        members = self._file.infolist()
        if len(members) > MAX_ARRAYS or len({m.filename for m in members}) < len(members):
            raise ValueError(f"it holds more than {MAX_ARRAYS} arrays, or two of the same name")
        headers = {m.filename.removesuffix(".npy"): self._header(m) for m in members}
        self.objects = {name for name, header in headers.items() if header.dtype.hasobject}
        self.headers: Mapping[str, ArrayHeader] = {
            name: header for name, header in headers.items() if name not in self.objects
        }

    def read(self, *names: str) -> list[NDArray[Any]]:
        """Arrays by name. Raises KeyError if one is missing, ValueError if they are too large."""
        total = sum(self.headers[name].bytes for name in names)
        if total > MAX_BYTES:
            raise ValueError(f"its arrays would take {total:,} bytes of memory")
        return [self._array(name) for name in names]

    def _array(self, name: str) -> NDArray[Any]:
        with self._file.open(f"{name}.npy") as member:
            array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
            member.read(1)  # up to its end, where the checksum is verified
        return array

    def _header(self, member: zipfile.ZipInfo) -> ArrayHeader:
        if not member.filename.endswith(".npy"):
            raise ValueError(f"it holds {member.filename[:50]!r}, which is not an array")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename[:50]} has a compression that NumPy doesn't use")
        with self._file.open(member) as file:
            header, start = _read_header(file)
        size = member.file_size - start
        if header.bytes != size and not header.dtype.hasobject:
            raise ValueError(f"{member.filename[:50]} doesn't have the size that its header says")
        return header


def _read_header(file: IO[bytes]) -> tuple[ArrayHeader, int]:
    """The header of an `.npy` file, and the position of its data."""
    head = io.BytesIO(file.read(MAX_HEADER_BYTES))  # a header may claim to be longer
    version = npy.read_magic(head)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(head)
    return ArrayHeader(dtype, shape), head.tell()


def _check_directory(file: BinaryIO) -> None:
    """Refuse a zip directory with too many entries, all of which `ZipFile` would read."""
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    size = 0 if end is None else end[zipfile._ECD_SIZE]  # type: ignore[attr-defined]
    if size > MAX_ARRAYS * MAX_ENTRY_BYTES:
        raise ValueError(f"it holds more than {MAX_ARRAYS} arrays")


@contextmanager
def open_arrays(
    path: Path | str, error: type[FittingroomError], *, within: Path | None = None
) -> Iterator[ArrayFile]:
    """Open an `.npz` file, reading only the headers of its arrays."""
    with open_untrusted(path, error, most=MAX_BYTES, within=within) as file:
        yield ArrayFile(file)


def read_array(
    path: Path | str, error: type[FittingroomError], *, within: Path | None = None
) -> NDArray[Any]:
    """Read an `.npy` file of at most `MAX_BYTES`; arrays of Python objects are refused."""
    with open_untrusted(path, error, most=MAX_BYTES, within=within) as file:
        header, start = _read_header(file)
        if header.dtype.hasobject:
            raise ValueError("it holds Python objects, which are never read")
        if header.bytes != os.fstat(file.fileno()).st_size - start:
            raise ValueError("it doesn't have the size that its header says")
        file.seek(0)
        array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array
