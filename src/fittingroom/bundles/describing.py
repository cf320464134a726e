"""Writes an estimator as a skops file: the opposite of `building.py`, for the parts that it builds.

skops itself reads such a file. But importing skops imports all of scikit-learn, and torch if that
is installed: longer than many a fit takes.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
from sklearn.tree._tree import Tree

from fittingroom.bundles.archive import SCHEMA, Node
from fittingroom.bundles.building import CLASSES

#: Whose format it is.
PROTOCOL, VERSION = 2, "0.16.0"


def file_of(estimator: Any) -> bytes:
    """The file. Raises TypeError for an estimator that has parts of other kinds."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        schema = _Describer(file).part(estimator)
        schema |= {"protocol": PROTOCOL, "_skops_version": VERSION}
        file.writestr(SCHEMA, json.dumps(schema, indent=2))
    return memory.getvalue()


class _Describer:
    """Describes parts; an array that is met again is written once."""

    def __init__(self, file: zipfile.ZipFile) -> None:
        self._file = file
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no other object gets the id of one that is gone

    def part(self, value: Any) -> Node:
        """The description of a part and all in it."""
        known = id(value) in self._numbers
        if not known:
            self._numbers[id(value)] = len(self._numbers)
            self._kept.append(value)
        number = self._numbers[id(value)]
        if isinstance(value, np.ndarray | np.generic):
            node = self._array(value, f"{number}.npy", written=known)
        else:
            node = self._node(value)
        return {**node, "__id__": number}

    def _node(self, value: Any) -> Node:
        if value is None or isinstance(value, bool | int | float | str):
            return _named(str, "JsonNode", content=json.dumps(value), is_json=True)
        if isinstance(value, type):
            return _named(value, "TypeNode")
        if isinstance(value, dict):
            content = {name: self.part(part) for name, part in value.items()}
            kinds = self.part([type(name) for name in value])
            return _named(dict, "DictNode", content=content, key_types=kinds)
        if isinstance(value, list):
            return _named(list, "ListNode", content=[self.part(part) for part in value])
        if isinstance(value, tuple):
            return _named(tuple, "TupleNode", content=[self.part(part) for part in value])
        if isinstance(value, Tree):
            _, arguments, state = value.__reduce__()
            made_of = {"args": self.part(arguments)}
            return _named(Tree, "TreeNode", __reduce__=made_of, content=self.part(state))
        if type(value) not in CLASSES.values():
            raise TypeError(f"a {type(value).__name__} can't be described.")
        return _named(type(value), "ObjectNode", content=self.part(value.__getstate__()))

    def _array(self, array: Any, name: str, *, written: bool) -> Node:
        if not written:
            memory = io.BytesIO()
            np.save(memory, array, allow_pickle=False)
            # Half a second would make 54,000 images two fifths smaller, and slow to be read.
            as_they_are = array.dtype == np.uint8
            kind = zipfile.ZIP_STORED if as_they_are else zipfile.ZIP_DEFLATED
            self._file.writestr(name, memory.getbuffer(), kind)
        return _named(type(array), "NdArrayNode", type="numpy", file=name)


def _named(kind: type, loader: str, **fields: Any) -> Node:
    return {
        "__class__": kind.__name__,
        "__module__": kind.__module__,
        "__loader__": loader,
        **fields,
    }
