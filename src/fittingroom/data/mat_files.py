"""Read EMNIST as MATLAB's files have it, such as `emnist-letters.mat`.

The format is that of MathWorks, "MAT-File Format", level 5, which `save` writes by `-v6` and `-v7`.
Of it only what such a file needs is read: structs of numeric arrays, each where it belongs.
SciPy's `loadmat` reads more, and unpacks whatever a file says without a limit.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.archives import ALWAYS_ROOM, MAX_GROWTH
from fittingroom.data.idx_sets import class_of, named_labels
from fittingroom.data.pixels import images_of, labels_of
from fittingroom.data.reading import RawSplit, Reading, is_transposed
from fittingroom.data.stream import CHUNK, Read, open_zlib, read_up_to
from fittingroom.errors import DataError, InputError
from fittingroom.untrusted import open_untrusted

#: How a file of level 5 or 7.3 begins; the bytes of the header and of a tag.
_TEXT, _HEADER, _TAG = re.compile(rb"MATLAB [57]\.\d MAT-file"), 128, 8
#: The last bytes of the header: level 5 by the order of its bytes, and 7.3.
_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
_HDF5 = (b"\x00\x02IM", b"\x02\x00MI")
#: Kinds of elements besides numbers.
_MATRIX, _COMPRESSED = 14, 15
#: The numbers in an element, by its kind; they may be smaller than those of the array's class.
_NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4"},
    **{6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
#: Classes of arrays.
_STRUCT = 2
_CLASSES = {
    **{6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2"},
    **{11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"},
}
_REFUSED = {
    1: "a cell array; turn it into numbers by cell2mat",
    3: "an object; turn it into a struct",
    4: "text; turn it into numbers",
    5: "sparse; turn it into numbers by full",
    16: "a function handle; remove it",
    17: "an object; turn it into a struct",
}
_COMPLEX = 1 << 11
#: The structs, and the fields that each may have; so nothing lies deeper, and nothing is many.
_PART = ("images", "labels", "writers")
_FIELDS = {
    "dataset": ("train", "test", "mapping"),
    "dataset.train": _PART,
    "dataset.test": _PART,
}
_OPTIONAL = {"mapping", "writers"}
#: The longest name in bytes; the most dimensions and fields that are named in a message, and the
#: most numbers of a mapping.
_LONGEST_NAME, _MOST_DIMENSIONS, _MOST_FIELDS, _MOST_MAPPING = 64, 32, 64, 1 << 16
_SAVE_ANEW = "load it and save it anew by save(FILE, 'dataset', '-v7')"


def is_mat_file(path: Path) -> bool:
    """Whether a file is MATLAB's, by its content; or is called so, to be told what is wrong."""
    if not os.path.isfile(path):
        return False
    if path.suffix.lower() == ".mat":
        return True
    with open_untrusted(path, DataError) as file:
        return _TEXT.match(file.read(_HEADER)) is not None


def read_mat_file(path: Path) -> Reading:
    """Read both splits of a data set from a MATLAB file as EMNIST has them.

    It holds a struct `dataset` with the structs `train` and `test`, each of `images`, uint8
    (n, pixels of a square), and `labels`, whole numbers (n, 1); `writers` are left out. Its
    `mapping` (classes, 2 or 3), if there is one, names the classes: in each row a label and the
    characters that it stands for, as numbers. Sizes are compared before anything is read, and
    memory grows only with what is. A checksum is verified where the variable is compressed.

    Parameters
    ----------
    path : the file; one whose name begins with `emnist` has its images transposed

    Raises
    ------
    DataError : it is damaged, of another level, or holds something else; says the remedy
    """
    with open_untrusted(path, DataError) as file:
        data = _read_variable(path, file)
        names = _names(data["mapping"]) if "mapping" in data else {}
        parts = {split: _part(split, data[split], names, path) for split in ("train", "test")}
    return Reading(parts, tuple(names.values()) if names else None)


def _read_variable(path: Path, file: BinaryIO) -> dict[str, Any]:
    """The struct in an open file, once nothing else is left of it."""
    order = _order_of(path, file.read(_HEADER))
    size = os.fstat(file.fileno()).st_size
    kind, length = struct.unpack(f"{order}II", bytes(file.read(_TAG)).ljust(_TAG, b"\0"))
    held = max(0, size - _HEADER - _TAG)
    if kind not in (_MATRIX, _COMPRESSED):
        raise ValueError(f"it holds no variable; {_SAVE_ANEW}")
    if length > held:
        raise DataError(f"{path} is truncated: {length} bytes are promised, it holds {held}.")
    if length < held:
        raise ValueError(f"it holds more than the variable dataset; {_SAVE_ANEW}")
    if kind == _MATRIX:
        file.seek(_HEADER)
    read: Read = file.read if kind == _MATRIX else open_zlib(path, file)
    most = held + _TAG if kind == _MATRIX else max(ALWAYS_ROOM, MAX_GROWTH * size)
    data: dict[str, Any] = _Matrices(read, order, most).matrix("dataset")
    if read(1):  # and verifies a checksum
        raise ValueError("it is damaged: bytes are left after its variable")
    return data


def _order_of(path: Path, header: bytes) -> str:
    """The order of bytes in a file of level 5, as `struct` has it."""
    if not header:
        raise DataError(f"{path} is empty.")
    mark = header[-4:]
    if mark in _HDF5:
        raise DataError(f"{path} is a file of MATLAB 7.3 (HDF5); {_SAVE_ANEW}.")
    if len(header) < _HEADER or mark not in _ORDERS:
        raise DataError(f"{path} isn't a MATLAB file of level 5; {_SAVE_ANEW}.")
    return _ORDERS[mark]


class _Tag(NamedTuple):
    """What an element says of itself: a kind, its bytes, and the data that a small one has here."""

    kind: int
    size: int
    data: bytes | None


class _Matrices:
    """Reads structs and arrays one byte after the other, none beyond the end of what it lies in.

    Each method raises ValueError where that can't be.

    Parameters
    ----------
    read : gives the bytes
    order : of bytes in a number, as `struct` has it
    most : bytes that may be read in all
    """

    def __init__(self, read: Read, order: str, most: int) -> None:
        self._read = read
        self._order = order
        self._at = 0
        self._end = most

    def matrix(self, where: str) -> Any:
        """The next one: an array (rows, columns), or a struct as a dict."""
        tag = self._tag()
        if tag.kind != _MATRIX or tag.data is not None:
            raise ValueError(f"it is damaged: {where} isn't an array")
        outer, end = self._end, self._at + tag.size
        if end > outer:
            raise ValueError(
                f"it is damaged or a zlib bomb: {where} claims {tag.size:,} bytes where "
                f"{outer - self._at:,} may be; if you trust it, load it and save it by -v6"
            )
        self._end = end
        value: Any = np.zeros((0, 0), np.uint8)  # [], of which MATLAB may write no more
        if where.endswith(".writers"):
            for start in range(0, tag.size, CHUNK):
                self._take(min(CHUNK, tag.size - start))
        elif tag.size or where in _FIELDS:
            value = self._value(where)
        if self._at != end:
            raise ValueError(f"it is damaged: {where} doesn't have the size that it says")
        self._end = outer
        return value

    def _value(self, where: str) -> Any:
        """What stands after the tag of one that isn't empty."""
        flags, _ = self._integers(2, exactly=True)
        kind = flags & 0xFF
        if kind in _REFUSED:
            raise ValueError(f"{where} is {_REFUSED[kind]}")
        if flags & _COMPLEX:
            raise ValueError(f"{where} has complex numbers; turn them into real ones by real")
        shape = self._integers(_MOST_DIMENSIONS)
        if len(shape) != 2:
            raise ValueError(f"{where} has {len(shape)} dimensions; reshape it to two")
        name = _text(self._element(_LONGEST_NAME))  # empty but for the variable itself
        if where == "dataset" != name:
            raise ValueError(f"its variable is {name!r}, not dataset; rename it")
        if where not in _FIELDS:
            return self._numbers(where, kind, shape)
        if kind != _STRUCT or shape != (1, 1):
            raise ValueError(f"{where} isn't a single struct, as EMNIST's is")
        return {name: self.matrix(f"{where}.{name}") for name in self._field_names(where)}

    def _field_names(self, where: str) -> list[str]:
        """The names of a struct's fields, all of which must be known."""
        (length,) = self._integers(1, exactly=True)
        if not 0 < length <= _LONGEST_NAME:
            raise ValueError(f"it is damaged: the fields of {where} have names of {length} bytes")
        joined, known = self._element(_MOST_FIELDS * length), _FIELDS[where]
        names = [_text(joined[i : i + length]) for i in range(0, len(joined), length)]
        for name in names:
            if name not in known or names.count(name) > 1:
                found = f"{name!r} {'twice' if name in known else 'too'}"
                raise ValueError(f"{where} has {found}; keep one each of {', '.join(known)}")
        if missing := [name for name in known if name not in names and name not in _OPTIONAL]:
            raise ValueError(f"{where} lacks {' and '.join(missing)}, which EMNIST's has")
        return names

    def _numbers(self, where: str, kind: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """An array of real numbers, whose columns come one after the other."""
        if kind not in _CLASSES:
            raise ValueError(f"{where} isn't an array of numbers, as EMNIST's is")
        dtype = np.dtype(_CLASSES[kind])
        if where.endswith(".images") and dtype != np.uint8:  # others are many times larger
            raise ValueError(f"{where} holds numbers of {dtype}; turn them into bytes by uint8")
        tag = self._tag()
        stored = np.dtype(self._order + _NUMBERS.get(tag.kind, "V1"))
        if stored.kind == "V" or min(shape) < 0 or prod(shape) * stored.itemsize != tag.size:
            raise ValueError(
                f"it is damaged: {where} is {_dimensions(shape)}, but has {tag.size:,} bytes"
            )
        values = np.frombuffer(self._data(tag), stored)
        with np.errstate(over="ignore", invalid="ignore"):  # they differ then
            array = values.astype(dtype, copy=False)
        if array is not values and (array != values).any():
            raise ValueError(f"it is damaged: {where} holds numbers that aren't {dtype}")
        return array.reshape(shape, order="F")

    def _integers(self, most: int, *, exactly: bool = False) -> tuple[int, ...]:
        """The integers of 32 bits in the next element."""
        data = self._element(4 * most)
        if len(data) % 4 or (exactly and len(data) < 4 * most):
            raise ValueError(f"it is damaged: an element of integers has {len(data)} bytes")
        return struct.unpack(f"{self._order}{len(data) // 4}i", data)

    def _element(self, most: int) -> bytes:
        """The data of the next element, at most so many bytes."""
        tag = self._tag()
        if tag.size > most:
            raise ValueError(f"it is damaged: {tag.size:,} bytes stand where {most} may")
        return bytes(self._data(tag))

    def _tag(self) -> _Tag:
        head = bytes(self._take(_TAG))
        kind, size = struct.unpack(f"{self._order}II", head)
        if kind >> 16 == 0:
            return _Tag(kind, size, None)
        kind, size = kind & 0xFFFF, kind >> 16  # a small element: its data are in the tag
        if size > 4:
            raise ValueError("it is damaged: a small element is too large")
        return _Tag(kind, size, head[4 : 4 + size])

    def _data(self, tag: _Tag) -> bytes | bytearray:
        if tag.data is not None:
            return tag.data
        data = self._take(tag.size)
        self._take(-tag.size % 8)  # up to the next multiple of eight bytes
        return data

    def _take(self, size: int) -> bytearray:
        """So many bytes, which must lie in the matrix that is read."""
        if self._at + size > self._end:
            raise ValueError("it is damaged: an element is larger than what it lies in")
        data = read_up_to(self._read, size)
        if len(data) < size:
            raise ValueError(
                f"it is truncated: its variable ends after {self._at + len(data)} bytes"
            )
        self._at += size
        return data


def _text(data: bytes) -> str:
    """A name, which may be followed by zeros."""
    return data.split(b"\0")[0].decode("ascii", "replace")


def _dimensions(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _names(mapping: NDArray[Any]) -> dict[int, str]:
    """Class names by label, sorted by label, from rows (classes, 2 or 3)."""
    if not mapping.size:
        return {}
    if mapping.shape[1] not in (2, 3) or mapping.size > _MOST_MAPPING:
        shape = _dimensions(mapping.shape)
        raise ValueError(f"dataset.mapping is {shape}; give each class a row of 2 or 3 numbers")
    names = {}
    for number, row in enumerate(mapping.tolist(), 1):
        try:
            codes = [int(value) for value in row]
            if codes != row:
                raise ValueError
            label, name = class_of(codes)
        except (ValueError, OverflowError):
            raise ValueError(
                f"dataset.mapping, row {number}: expected a label and the codes of its characters"
            ) from None
        names[label] = name
    return dict(sorted(names.items()))


def _part(
    split: str, fields: dict[str, NDArray[Any]], names: Mapping[int, str], path: Path
) -> RawSplit:
    where = f"dataset.{split}"
    columns = fields["labels"]
    if columns.shape[1] != 1:
        raise ValueError(
            f"{where}.labels has {columns.shape[1]} columns; give each image one label"
        )
    try:
        # Taken out, so that what the file holds is gone once it is copied.
        images = images_of(fields.pop("images"), f"{where}.images")
        labels = labels_of(columns, f"{where}.labels")
    except InputError as error:
        raise DataError(f"{path}: {error}") from error
    images = images.transpose(0, 2, 1) if is_transposed(path.name) else images
    if names:
        labels = named_labels(labels, names, path, "its mapping")
    return RawSplit(np.ascontiguousarray(images), labels, path)
