"""Images in a file too large for memory: found, read a few at a time and let go of.

A memory map looks like an array, and whoever copies, converts or indexes it as one reads all of it
into memory. What is here reads some of its rows, so that the rest stays on disk.
"""

from __future__ import annotations

import copy
import hashlib
import mmap
import os
from collections.abc import Iterator

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

from fittingroom.errors import DataError

Bytes = NDArray[np.uint8]

_PIECE = 8 << 20  # bytes that are read at once where all are wanted, one after the other
_SAMPLES = 64  # pieces that stand for the whole file in `MappedRows.identity`


def memory_map(array: NDArray[np.uint8]) -> np.memmap | None:
    """The read-only memory map of a named file that `array` is a view of, None if it is none.

    A writable map isn't counted: it may change while it is read, and is copied like any array.
    """
    owner: object = array
    while isinstance(owner, np.ndarray):
        base: object = owner.base
        if isinstance(owner, np.memmap) and isinstance(base, mmap.mmap):
            return owner if owner.mode == "r" and owner.filename is not None else None
        owner = base
    return None


def pieces(array: Bytes) -> Iterator[Bytes]:
    """All of an array in contiguous pieces, one after the other; of a map, a few MB at a time."""
    if memory_map(array) is None:
        yield np.ascontiguousarray(array)
        return
    rows = MappedRows(array)
    step = max(1, _PIECE // max(1, rows.row_bytes))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


class MappedRows:
    """Some rows of a memory-mapped array, in memory only while they are looked at.

    A slice is an array of those rows, copied; their pages are let go of at once, so that a process
    stays as small as what it holds. The file is looked at before each read: a file cut short under
    a map ends the process without a word, and a changed one would be trained on unnoticed.

    Parameters
    ----------
    array : uint8 (n, ...), a view of a map (`memory_map` says so)
    index : int64 (m,) positions of rows; None is all of them. Sorted ones are read fastest.

    Raises
    ------
    DataError
        The file is shorter than the map; when a slice is taken, also if it changed meanwhile.
    """

    def __init__(self, array: Bytes, index: NDArray[np.int64] | None = None) -> None:
        owner = memory_map(array)
        assert owner is not None, "memory_map(array) tells"
        assert owner.filename is not None
        base: object = owner.base
        assert isinstance(base, mmap.mmap)
        self._array = array.view(np.ndarray)
        self._map = base
        self._address = owner.ctypes.data - owner.offset % mmap.ALLOCATIONGRANULARITY
        self._end = owner.offset + owner.nbytes  # bytes that the file must have
        self._path = os.fspath(owner.filename)
        self._index = index
        self._stamp = self._look()

    def __len__(self) -> int:
        return len(self._array if self._index is None else self._index)

    @property
    def shape(self) -> tuple[int, ...]:
        """(m, ...)"""
        return len(self), *self._array.shape[1:]

    @property
    def row_bytes(self) -> int:
        """The size of one row."""
        return self._array[:1].nbytes

    @property
    def nbytes(self) -> int:
        """The size of all rows."""
        return len(self) * self.row_bytes

    def rows(self, index: NDArray[np.int64]) -> MappedRows:
        """Those of the rows that stand at some positions (m,)."""
        return self._with(self._array, index if self._index is None else self._index[index])

    def reshape(self, *shape: int) -> MappedRows:
        """The same rows, each of another shape."""
        return self._with(self._array.reshape(len(self._array), *shape), self._index)

    def __getitem__(self, some: slice) -> Bytes:
        start, stop, _ = some.indices(len(self))
        if self._look() != self._stamp:
            raise DataError(f"{self._path} changed while it was read; start again.")
        if self._index is None:
            return self._taken(self._array[start:stop], None)
        positions = self._index[start:stop]
        if not len(positions):
            return self._array[:0].copy()
        first, last = int(positions.min()), int(positions.max())
        span = self._array[first : last + 1]
        gapless = len(span) == len(positions) and bool((np.diff(positions) == 1).all())
        return self._taken(span, None if gapless else positions - first)

    def identity(self) -> str:
        """What tells these rows from others without reading them all.

        The file's size and time of change, the hash of 64 pieces spread over it, and the hash of
        the positions. To deceive it a file must be changed elsewhere and its clock be put back.
        """
        digest = hashlib.sha256()
        everything = self._with(self._array, None)
        step = max(1, _PIECE // _SAMPLES // self.row_bytes)
        for start in np.linspace(0, max(0, len(everything) - step), _SAMPLES).astype(int).tolist():
            digest.update(everything[start : start + step].data)
        if self._index is not None:
            digest.update(np.ascontiguousarray(self._index, dtype="<i8").data)
        return f"{self.shape} {self._stamp} {digest.hexdigest()}"

    def _with(self, array: Bytes, index: NDArray[np.int64] | None) -> MappedRows:
        other = copy.copy(self)
        other._array, other._index = array, index
        return other

    def _taken(self, span: Bytes, positions: NDArray[np.int64] | None) -> Bytes:
        """A copy of a span of the map, or of some of its rows, whose pages are then let go of."""
        start, stop = (address - self._address for address in byte_bounds(span))
        start -= start % mmap.PAGESIZE
        self._advise("MADV_WILLNEED", start, stop)  # asked for in one go, not page by page
        taken = span.copy() if positions is None else span[positions]
        self._advise("MADV_DONTNEED", start, stop)
        return taken

    def _advise(self, advice: str, start: int, stop: int) -> None:
        if hasattr(mmap, advice) and stop > start:  # not on Windows
            self._map.madvise(getattr(mmap, advice), start, stop - start)

    def _look(self) -> str:
        """The file's size and time of change."""
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise DataError(f"{self._path} can't be read: {error.strerror or error}.") from error
        if status.st_size < self._end:
            raise DataError(
                f"{self._path} was cut short: {self._end} bytes of it were in use, "
                f"{status.st_size} are left."
            )
        return f"{status.st_size} bytes, changed {status.st_mtime_ns}"
