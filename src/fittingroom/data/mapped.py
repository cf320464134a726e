"""Read memory-mapped images a few rows at a time.

A memory map looks like an array, but copying, converting or indexing it as one reads all of it into
memory. Here only some of its rows are read, and the rest stays on disk.
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

_PIECE = 8 << 20  # bytes that are read at once when iterating over all rows
_SAMPLES = 64  # pieces that represent the whole file in `MappedRows.identity`


def memory_map(array: NDArray[np.uint8]) -> np.memmap | None:
    """The read-only memory map of a named file that `array` is a view of, None if there is none.

    A writable map doesn't count: it may change while it is read, and is copied like any array.
    """
    owner: object = array
    while isinstance(owner, np.ndarray):
        base: object = owner.base
        if isinstance(owner, np.memmap) and isinstance(base, mmap.mmap):
            return owner if owner.mode == "r" and owner.filename is not None else None
        owner = base
    return None


def pieces(array: Bytes) -> Iterator[Bytes]:
    """Iterate over an array in contiguous pieces; over a memory map, a few MB at a time."""
    if memory_map(array) is None:
        yield np.ascontiguousarray(array)
        return
    rows = MappedRows(array)
    step = max(1, _PIECE // max(1, rows.row_bytes))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


class MappedRows:
    """Some rows of a memory-mapped array, in memory only while they are used.

    A slice is a copy of those rows; their pages are released at once, so that a process takes
    memory only for what it holds. The file is checked before each read: one truncated under its
    map kills the process without a message, and a changed one would be trained on unnoticed.

    Parameters
    ----------
    array : uint8 (n, ...), a view of a memory map, see `memory_map`
    index : int64 (m,) positions of rows; None for all of them. Sorted ones are read fastest.

    Raises
    ------
    DataError
        The file is shorter than the map; when slicing, also if it changed meanwhile.
    """

    def __init__(self, array: Bytes, index: NDArray[np.int64] | None = None) -> None:
        owner = memory_map(array)
        assert owner is not None, "check with memory_map(array)"
        assert owner.filename is not None
        base: object = owner.base
        assert isinstance(base, mmap.mmap)
        self._array = array.view(np.ndarray)
        self._map = base
        self._address = owner.ctypes.data - owner.offset % mmap.ALLOCATIONGRANULARITY
        self._end = owner.offset + owner.nbytes  # bytes that the file must have
        self._path = os.fspath(owner.filename)
        self._index = index
        self._stamp = self._file_state()

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
        """The rows at the positions `index` (m,)."""
        return self._with(self._array, index if self._index is None else self._index[index])

    def reshape(self, *shape: int) -> MappedRows:
        """The same rows, each reshaped to `shape`."""
        return self._with(self._array.reshape(len(self._array), *shape), self._index)

    def __getitem__(self, key: slice) -> Bytes:
        start, stop, _ = key.indices(len(self))
        if self._file_state() != self._stamp:
            raise DataError(f"{self._path} changed while it was read; start again.")
        if self._index is None:
            return self._copy(self._array[start:stop], None)
        positions = self._index[start:stop]
        if not len(positions):
            return self._array[:0].copy()
        first, last = int(positions.min()), int(positions.max())
        span = self._array[first : last + 1]
        contiguous = len(span) == len(positions) and bool((np.diff(positions) == 1).all())
        return self._copy(span, None if contiguous else positions - first)

    def identity(self) -> str:
        """Identifies these rows without reading them all.

        Made of the file's size and modification time, a hash of 64 pieces spread over it, and a
        hash of the positions. Only a change elsewhere with the time put back goes unnoticed.
        """
        digest = hashlib.sha256()
        all_rows = self._with(self._array, None)
        step = max(1, _PIECE // _SAMPLES // self.row_bytes)
        for start in np.linspace(0, max(0, len(all_rows) - step), _SAMPLES).astype(int).tolist():
            digest.update(all_rows[start : start + step].data)
        if self._index is not None:
            digest.update(np.ascontiguousarray(self._index, dtype="<i8").data)
        return f"{self.shape} {self._stamp} {digest.hexdigest()}"

    def _with(self, array: Bytes, index: NDArray[np.int64] | None) -> MappedRows:
        other = copy.copy(self)
        other._array, other._index = array, index
        return other

    def _copy(self, span: Bytes, positions: NDArray[np.int64] | None) -> Bytes:
        """Copy a span of the map, or some of its rows, and release their pages."""
        start, stop = (address - self._address for address in byte_bounds(span))
        start -= start % mmap.PAGESIZE
        self._advise("MADV_WILLNEED", start, stop)  # all at once, not page by page
        rows = span.copy() if positions is None else span[positions]
        self._advise("MADV_DONTNEED", start, stop)
        return rows

    def _advise(self, advice: str, start: int, stop: int) -> None:
        if hasattr(mmap, advice) and stop > start:  # not on Windows
            self._map.madvise(getattr(mmap, advice), start, stop - start)

    def _file_state(self) -> str:
        """The file's size and modification time, in words."""
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise DataError(f"{self._path} can't be read: {error.strerror or error}.") from error
        if status.st_size < self._end:
            raise DataError(
                f"{self._path} was truncated: {self._end} bytes of it were in use, "
                f"{status.st_size} are left."
            )
        return f"{status.st_size} bytes, changed {status.st_mtime_ns}"
