"""Arrays in an `.npz` file from elsewhere: measured by their headers before they are read."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from fittingroom.errors import FittingroomError
from fittingroom.untrusted import open_untrusted

#: Bytes that the arrays of one file may have in memory, and how many arrays it may hold.
MOST_BYTES, MOST_ARRAYS = 2**29, 1000
#: Bytes of an array's header, and of an array's entry in the directory of the file.
MOST_HEADER_BYTES, MOST_ENTRY_BYTES = 10_000, 500


@dataclass(frozen=True)
class ArrayHeader:
    """What an array's header says of it."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """In memory."""
        return math.prod(self.shape) * self.dtype.itemsize


class ArrayFile:
    """An opened `.npz` file: what its arrays are, and each of them when it is asked for.

    Attributes
    ----------
    headers : by name
    objects : the names of arrays of Python objects, which are never read
    """

    def __init__(self, file: BinaryIO) -> None:
        _check_directory(file)
        self._file = zipfile.ZipFile(file)
        members = self._file.infolist()
        if len(members) > MOST_ARRAYS or len({m.filename for m in members}) < len(members):
            raise ValueError(f"it holds more than {MOST_ARRAYS} arrays, or two of one name")
        headers = {m.filename.removesuffix(".npy"): self._header(m) for m in members}
        self.objects = {name for name, header in headers.items() if header.dtype.hasobject}
        self.headers: Mapping[str, ArrayHeader] = {
            name: header for name, header in headers.items() if name not in self.objects
        }

    def read(self, *names: str) -> list[NDArray[Any]]:
        """Arrays by name. Raises KeyError for a name, ValueError for more than may be read."""
        total = sum(self.headers[name].bytes for name in names)
        if total > MOST_BYTES:
            raise ValueError(f"its arrays would take {total:,} bytes of memory")
        return [self._array(name) for name in names]

    def _array(self, name: str) -> NDArray[Any]:
        with self._file.open(f"{name}.npy") as member:
            array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
            member.read(1)  # its end, at which the checksum is compared
        return array

    def _header(self, member: zipfile.ZipInfo) -> ArrayHeader:
        if not member.filename.endswith(".npy"):
            raise ValueError(f"it holds {member.filename[:50]!r}, which is not an array")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename[:50]} is compressed as no array of NumPy is")
        with self._file.open(member) as opened:
            head = io.BytesIO(opened.read(MOST_HEADER_BYTES))  # a header may say that it has more
        version = npy.read_magic(head)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(head)
        size = member.file_size - head.tell()
        header = ArrayHeader(dtype, shape)
        if header.bytes != size and not dtype.hasobject:
            raise ValueError(f"{member.filename[:50]} has another size than its header says")
        return header


def _check_directory(file: BinaryIO) -> None:
    """Refuse a directory of more entries than there may be, all of which `ZipFile` would read."""
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    size = 0 if end is None else end[zipfile._ECD_SIZE]  # type: ignore[attr-defined]
    if size > MOST_ARRAYS * MOST_ENTRY_BYTES:
        raise ValueError(f"it holds more than {MOST_ARRAYS} arrays")


@contextmanager
def open_arrays(
    path: Path | str, error: type[FittingroomError], *, within: Path | None = None
) -> Iterator[ArrayFile]:
    """An `.npz` file, of which only headers are read at first."""
    with open_untrusted(path, error, most=MOST_BYTES, within=within) as file:
        yield ArrayFile(file)
