"""archive.py: only what we write is read, and measured before it is unpacked."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.tree._tree import NODE_DTYPE

from fittingroom.bundles.archive import Archive, Node, field
from fittingroom.errors import BundleError

Members = dict[str, Any]
Spoil = Callable[[Node, Members], Any]
Spoilt = Callable[[str, Spoil], Path]
Refused = Callable[..., None]


FOREIGN: dict[str, dict[str, Any]] = {
    "a function": {"__loader__": "FunctionNode", "__module__": "os", "__class__": "system"},
    "an operator": {
        "__loader__": "OperatorFuncNode",
        "__module__": "operator",
        "__class__": "methodcaller",
    },
    "a method": {"__loader__": "MethodNode", "__module__": "builtins", "__class__": "method"},
    "a partial": {"__loader__": "PartialNode", "__module__": "functools", "__class__": "partial"},
    "a type": {"__loader__": "TypeNode", "__module__": "subprocess", "__class__": "Popen"},
    "an object": {"__loader__": "ObjectNode", "__module__": "pathlib", "__class__": "Path"},
    "one of ours": {
        "__loader__": "ObjectNode",
        "__module__": "fittingroom.runs.store",
        "__class__": "Store",
    },
    "a reduction": {"__loader__": "TreeNode", "__module__": "os", "__class__": "system"},
    "a loss": {"__loader__": "LossNode", "__module__": "os", "__class__": "system"},
    "something cached": {
        "__loader__": "CachedNode",
        "__module__": "builtins",
        "__class__": "dict",
        "__id__": -1,
    },
    "a generator": {
        "__loader__": "RandomStateNode",
        "__module__": "numpy.random.mtrand",
        "__class__": "RandomState",
    },
    "an unknown loader": {"__loader__": "NoNode", "__module__": "os", "__class__": "system"},
    "no loader": {"__module__": "os", "__class__": "system"},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_parts(classical: str, kind: str, spoilt: Spoilt, refused: Refused) -> None:
    part = {"content": [], "__reduce__": {"args": {}}, **FOREIGN[kind]}

    def spoil(schema: Node, members: Members) -> None:
        schema["content"]["content"]["_sklearn_version"] = part

    refused(spoilt(classical, spoil), r"has no part|has no loader")


MEMBERS: dict[str, tuple[str, Any]] = {
    "a pickle": ("model.pkl", b"\x80\x04N."),
    "a way out": ("../out.npy", b""),
    "an absolute path": ("/tmp/out.npy", b""),
    "a folder": ("folder/", b""),
    "an array that isn't used": ("more.npy", np.zeros(3)),
    "a script": ("setup.py", b"raise SystemExit"),
}


@pytest.mark.parametrize("kind", MEMBERS)
def test_unexpected_members(classical: str, kind: str, spoilt: Spoilt, refused: Refused) -> None:
    name, data = MEMBERS[kind]
    refused(
        spoilt(classical, lambda schema, members: members.update({name: data})),
        r"unexpected member|which is unused",
    )


BOMBS: dict[str, Spoil] = {
    "zeros": lambda schema, members: members.update({"bomb.npy": bytes(60_000_000)}),
    "nesting": lambda schema, members: members.update(
        {"schema.json": b"[" * 200_000 + b"]" * 200_000}
    ),
    "levels": lambda schema, members: members.update(
        {"schema.json": b'{"content":' * 300 + b"1" + b"}" * 300}
    ),
    "a long number": lambda schema, members: members.update({"schema.json": b"9" * 100_000}),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs(kind: str, spoilt: Spoilt, refused: Refused) -> None:
    refused(spoilt("logistic", BOMBS[kind]))


def header(text: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


HEADERS = {
    "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (10,), }\n", bytes(80)),
    "code": header("{'descr': __import__('os'), 'fortran_order': False, 'shape': (), }\n"),
    "another size": header("{'descr': '<f8', 'fortran_order': False, 'shape': (9,), }\n", bytes(8)),
    "a huge size": header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 999999999999), }\n"
    ),
    "a negative size": header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n"),
    "texts": header("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }\n", bytes(16)),
    "another version": b"\x93NUMPY\x03\x00" + bytes(4),
    "no array": b"PK\x03\x04",
    "nothing": b"",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_malformed_arrays(classical: str, kind: str, spoilt: Spoilt, refused: Refused) -> None:
    def spoil(schema: Node, members: Members) -> None:
        members[field(schema, "classes_")["file"]] = HEADERS[kind]

    refused(spoilt(classical, spoil), r"isn't an array|doesn't have the size")


def test_a_part_with_the_id_of_another(spoilt: Spoilt, refused: Refused) -> None:
    """skops builds parts with the same id once; an audited array mustn't be swapped."""

    def spoil(schema: Node, members: Members) -> None:
        tree = field(field(schema, "estimators_")["content"][0], "tree_")
        members["bad.npy"] = np.zeros(5, NODE_DTYPE)
        bad = {**tree["content"]["content"]["nodes"], "file": "bad.npy"}
        content = schema["content"]["content"]
        del content["warm_start"]
        schema["content"]["content"] = {"warm_start": bad, **content}

    refused(spoilt("random-forest", spoil), "have the same id")


def test_a_duplicate_member(spoilt: Spoilt) -> None:
    file = spoilt("logistic", lambda schema, members: None) / "estimator.skops"
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr("schema.json", "{}")
    with zipfile.ZipFile(file) as archive, pytest.raises(BundleError, match="a member twice"):
        Archive(archive, ())


def named_again(times: int) -> Spoil:
    """The largest array of an attribute is named by `times` other parts of the attribute."""

    def spoil(schema: Node, members: Members) -> None:
        array = field(schema, "coef_")
        copies = [{**array, "__id__": 10**9 + number} for number in range(times)]
        array["__id__"] = 10**9 - 1
        content = schema["content"]["content"]
        content["class_weight"] = {
            "__class__": "list",
            "__module__": "builtins",
            "__loader__": "ListNode",
            "content": copies,
            "__id__": 10**9 - 2,
        }

    return spoil


def test_an_array_that_is_named_too_often(spoilt: Spoilt, refused: Refused) -> None:
    refused(spoilt("logistic", named_again(3000)), "names its arrays too often")


def parts(schema: Any, loader: str) -> list[Node]:
    if isinstance(schema, dict):
        own = [schema] if schema.get("__loader__") == loader else []
        return own + [part for value in schema.values() for part in parts(value, loader)]
    if isinstance(schema, list):
        return [part for value in schema for part in parts(value, loader)]
    return []


def test_trees_that_share_their_arrays(spoilt: Spoilt, refused: Refused) -> None:
    """Two arrays of 1 MB each would be copied for 2,000 trees."""

    def share(schema: Node, members: Members) -> None:
        trees = field(schema, "estimators_")["content"]
        first = trees[0]
        tree = field(first, "tree_")
        large = np.zeros(60_000, NODE_DTYPE)  # checked only after its mentions are counted
        members[tree["content"]["content"]["nodes"]["file"]] = large
        numbers = iter(range(10**9, 2 * 10**9))
        copies = json.loads(json.dumps([first] * 2000))
        for copy in copies:
            for part in [p for loader in ("ObjectNode", "TreeNode") for p in parts(copy, loader)]:
                part["__id__"] = next(numbers)
        kept = {node["file"] for node in parts(first, "NdArrayNode")}
        for node in parts(trees[1:], "NdArrayNode"):
            if node["file"] not in kept:
                members.pop(node["file"], None)
        trees[:] = copies

    refused(spoilt("random-forest", share), "names its arrays too often|would grow to")
