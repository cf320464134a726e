"""Read a skops file as raw data, its description and its arrays, without building anything.

skops builds only trusted types, but doesn't check what is in them. Here every member is measured
before it is unpacked, every part of the description is compared with what may be there, and every
array's header is read without evaluating it.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.lib.format import dtype_to_descr
from numpy.typing import NDArray
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.tree._tree import NODE_DTYPE

from fittingroom.bundles.attributes import ATTRIBUTES
from fittingroom.errors import BundleError

SCHEMA = "schema.json"
MAX_SCHEMA_BYTES = 2**24
MAX_BYTES = 2**31  # of all arrays together
#: Largest compression ratio of a member; arrays of pixels reach 20, our descriptions 40.
MAX_GROWTH = 200
MAX_NESTED = 60
#: Bytes of arrays that may always be named twice.
SMALL = 2**20

Node = dict[str, Any]

_NUMBERS = ("?", "|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f4", "<f8")
#: Types that arrays may have, by their text in an array's header.
_DTYPES = {
    **{repr(name): np.dtype(name) for name in _NUMBERS},
    **{repr(dtype_to_descr(dtype)): dtype for dtype in (NODE_DTYPE, PREDICTOR_RECORD_DTYPE)},
}
_HEADER = re.compile(
    rb"\{'descr': (.{1,1000}), 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,12}, )*(?:\d{1,12},?)?)\), \} *\n",
    re.DOTALL,
)


class Archive:
    """The parts and arrays of an open skops file.

    Parameters
    ----------
    file : the open archive
    allowed : the parts that it may consist of, as "loader module.class"

    Raises
    ------
    BundleError : it holds anything else
    KeyError, TypeError, ValueError : the description is malformed
    """

    def __init__(self, file: zipfile.ZipFile, allowed: Collection[str]) -> None:
        self._file = file
        self._members = _members(file)
        self.root: Node = json.loads(file.read(SCHEMA).decode("utf-8"))
        self._arrays: dict[str, Array] = {}
        self._read: dict[str, NDArray[Any]] = {}
        by_id: dict[Any, Node] = {}
        unpacked_bytes = sum(member.file_size for member in self._members.values())
        built_bytes = 0
        for node in self.nodes():
            # skops builds a part once for all nodes with its id, so they must all be the same.
            first = by_id.setdefault(node["__id__"], node) if "__id__" in node else node
            if first is not node and _without_ids(first) != _without_ids(node):
                raise BundleError("two parts of the estimator's description have the same id.")
            part = f"{node['__loader__']} {node['__module__']}.{node['__class__']}"
            if part not in allowed:
                raise BundleError(f"an estimator of this kind has no part {part[:200]!r}.")
            if node["__loader__"] == "ObjectNode":
                _check_attributes(node)
            if node["__loader__"] == "NdArrayNode":
                array = self._array(node)
                self._arrays[node["file"]] = array
                built_bytes += array.bytes
                # Few arrays are named twice; every mention of one may become a copy.
                if built_bytes > 2 * unpacked_bytes + SMALL:
                    raise BundleError("the estimator names its arrays too often.")
        unused = set(self._members) - set(self._arrays) - {SCHEMA}
        if unused:
            raise BundleError(f"the estimator's file holds {min(unused)[:50]!r}, which is unused.")

    def nodes(self) -> Iterator[Node]:
        """Every part of the description. Raises BundleError if it is nested too deep."""
        pending: list[tuple[Any, int]] = [(self.root, 0)]
        while pending:
            value, level = pending.pop()
            if level > MAX_NESTED:
                raise BundleError("the estimator's description is nested too deep.")
            if isinstance(value, dict):
                if "__loader__" in value:
                    yield value
                elif "__class__" in value or "__module__" in value:
                    raise BundleError("a part of the estimator's description has no loader.")
                pending += [(inner, level + 1) for inner in value.values()]
            elif isinstance(value, list):
                pending += [(inner, level + 1) for inner in value]

    def shape(self, node: Node) -> tuple[int, ...]:
        return self._arrays[node["file"]].shape

    def read(self, node: Node) -> NDArray[Any]:
        """The array of a part, which is read once."""
        array = self._arrays[node["file"]]
        if array.file not in self._read:
            data = bytearray(self._file.read(array.file))
            flat = np.frombuffer(data, array.dtype, offset=array.start)
            order: Literal["F", "C"] = "F" if array.fortran else "C"
            self._read[array.file] = flat.reshape(array.shape, order=order)
        return self._read[array.file]

    def _array(self, node: Node) -> Array:
        """Locate a part's array, checking its header against its size."""
        file = node["file"]
        if node.get("type") != "numpy" or file not in self._members or not file.endswith(".npy"):
            raise BundleError(f"an array of the estimator has no file, {str(file)[:50]!r}.")
        with self._file.open(file) as member:
            head = member.read(10)
            length = int.from_bytes(head[8:10], "little")
            header = _HEADER.fullmatch(member.read(length))
        dtype = _DTYPES.get(header[1].decode("latin-1")) if header else None
        if head[:8] != b"\x93NUMPY\x01\x00" or header is None or dtype is None:
            raise BundleError(f"{file} isn't an array of numbers as we write them.")
        shape = tuple(int(side) for side in header[3].replace(b",", b" ").split())
        array = Array(file, dtype, shape, header[2] == b"True", 10 + length)
        if array.bytes != self._members[file].file_size:
            raise BundleError(f"{file} doesn't have the size that its header says.")
        return array


@dataclass(frozen=True)
class Array:
    """An array's location in the archive, and its header."""

    file: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    start: int

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize


def _check_attributes(node: Node) -> None:
    """Refuse attributes that objects of this class don't have."""
    content = node["content"]
    attributes = content["content"] if content["__loader__"] == "DictNode" else ()
    allowed = ATTRIBUTES[node["__class__"]]
    unknown = next((name for name in attributes if name not in allowed), None)
    if unknown is not None:
        raise BundleError(f"a {node['__class__']} has no attribute {unknown[:50]!r}.")


def field(node: Node, name: str) -> Node:
    """The part under a name in the description of an object or a dictionary."""
    content = node["content"]
    if node["__loader__"] == "ObjectNode":
        content = content["content"]
    part: Node = content[name]
    return part


def _without_ids(value: Any) -> Any:
    """A part without its id and the ids of its parts, which are compared separately."""
    if isinstance(value, dict):
        return {key: _without_ids(inner) for key, inner in value.items() if key != "__id__"}
    return [_without_ids(inner) for inner in value] if isinstance(value, list) else value


def plain_value(node: Node) -> Any:
    """The number or string that a part holds."""
    return json.loads(node["content"])


def _members(file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The archive's members. Raises BundleError for any that may be a trap."""
    members = {info.filename: info for info in file.infolist()}
    if len(members) < len(file.infolist()) or SCHEMA not in members:
        raise BundleError(f"the estimator's file has a member twice, or no {SCHEMA}.")
    for name, info in members.items():
        usual = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not usual or info.flag_bits & 1 or not re.fullmatch(r"[\w-]{1,100}\.(npy|json)", name):
            raise BundleError(f"the estimator's file has an unexpected member {name[:50]!r}.")
        if info.file_size > MAX_GROWTH * max(info.compress_size, 1000):
            raise BundleError(f"{name} would grow to {info.file_size:,} bytes when unpacked.")
    total = sum(info.file_size for info in members.values())
    if total > MAX_BYTES or members[SCHEMA].file_size > MAX_SCHEMA_BYTES:
        raise BundleError(f"the estimator would grow to {total:,} bytes when unpacked.")
    return members
