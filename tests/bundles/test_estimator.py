"""estimator.py: an estimator's file is what it claims, or it is refused before it is built."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.tree._tree import NODE_DTYPE

from fittingroom.bundles.bundle import load
from fittingroom.bundles.estimator import _KINDS, load_estimator
from fittingroom.errors import BundleError

Members = dict[str, bytes]
Spoil = Callable[[Members], Any]
Spoilt = Callable[[str, Spoil], Path]
Refused = Callable[..., None]

CLASSICAL = ("logistic", "linear-svm", "svm-rbf", "knn", "random-forest", "hist-gradient-boosting")


def members_of(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: Members) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def spoilt(copied: Callable[[str], Path], resigned: Callable[..., Path]) -> Spoilt:
    """`spoilt(model, change)`: a bundle whose estimator's members were changed, hashes and all."""

    def spoil(model: str, change: Spoil) -> Path:
        folder = copied(model)
        members = members_of((folder / "estimator.skops").read_bytes())
        change(members)
        (folder / "estimator.skops").write_bytes(zipped(members))
        return resigned(folder)

    return spoil


def schema_of(members: Members) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(members["schema.json"])
    return schema


def in_schema(change: Callable[[dict[str, Any]], Any]) -> Spoil:
    """A change of the description."""

    def spoil(members: Members) -> None:
        schema = schema_of(members)
        change(schema)
        members["schema.json"] = json.dumps(schema).encode()

    return spoil


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """An attribute of the estimator."""
    attribute: dict[str, Any] = schema["content"]["content"][name]
    return attribute


def parts(schema: Any, loader: str) -> list[dict[str, Any]]:
    if isinstance(schema, dict):
        own = [schema] if schema.get("__loader__") == loader else []
        return own + [part for value in schema.values() for part in parts(value, loader)]
    if isinstance(schema, list):
        return [part for value in schema for part in parts(value, loader)]
    return []


def array_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def in_array(
    pick: Callable[[dict[str, Any]], dict[str, Any]], change: Callable[[np.ndarray], Any]
) -> Spoil:
    """A change of an array that the description names, to what `change` returns."""

    def spoil(members: Members) -> None:
        file = pick(schema_of(members))["file"]
        array = np.load(io.BytesIO(members[file]), allow_pickle=False)
        changed = change(array)
        members[file] = array_bytes(array if changed is None else changed)

    return spoil


def test_a_repacked_estimator_is_read(spoilt: Spoilt) -> None:
    for model in CLASSICAL:
        assert load(spoilt(model, lambda members: None)).facts.model == model


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
        "__id__": 1,
    },
    "a generator": {
        "__loader__": "RandomStateNode",
        "__module__": "numpy.random.mtrand",
        "__class__": "RandomState",
    },
    "an unknown loader": {"__loader__": "NoNode", "__module__": "os", "__class__": "system"},
    "no loader": {"__module__": "os", "__class__": "system"},
}


@pytest.mark.parametrize("model", CLASSICAL)
@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_parts(model: str, kind: str, spoilt: Spoilt, refused: Refused) -> None:
    part = {"content": [], "__reduce__": {"args": {}}, **FOREIGN[kind]}

    def spoil(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["_sklearn_version"] = part

    refused(spoilt(model, in_schema(spoil)), r"has no part|has no loader")


@pytest.mark.parametrize("model", CLASSICAL)
def test_an_estimator_other_than_the_manifests(
    model: str, spoilt: Spoilt, refused: Refused
) -> None:
    def spoil(schema: dict[str, Any]) -> None:
        schema["__class__"], schema["__module__"] = "DummyClassifier", "sklearn.dummy"

    refused(spoilt(model, in_schema(spoil)), "has no part")


def test_a_kind_that_no_bundle_may_hold() -> None:
    with pytest.raises(BundleError, match="isn't an estimator that a bundle may hold"):
        load_estimator(b"", "os.system", 784, 10)


MEMBERS: dict[str, tuple[str, bytes]] = {
    "a pickle": ("model.pkl", b"\x80\x04N."),
    "a way out": ("../out.npy", b""),
    "an absolute path": ("/tmp/out.npy", b""),
    "a folder": ("folder/", b""),
    "an array that isn't used": ("more.npy", array_bytes(np.zeros(3))),
    "a script": ("setup.py", b"raise SystemExit"),
}


@pytest.mark.parametrize("model", CLASSICAL)
@pytest.mark.parametrize("kind", MEMBERS)
def test_unexpected_members(model: str, kind: str, spoilt: Spoilt, refused: Refused) -> None:
    name, data = MEMBERS[kind]
    refused(
        spoilt(model, lambda members: members.update({name: data})),
        r"unexpected member|which is unused",
    )


BOMBS: dict[str, Spoil] = {
    "zeros": lambda members: members.update({"bomb.npy": bytes(60_000_000)}),
    "nesting": lambda members: members.update({"schema.json": b"[" * 200_000 + b"]" * 200_000}),
    "levels": lambda members: members.update(
        {"schema.json": b'{"content":' * 300 + b"1" + b"}" * 300}
    ),
    "a long number": lambda members: members.update({"schema.json": b"9" * 100_000}),
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


@pytest.mark.parametrize("model", CLASSICAL)
@pytest.mark.parametrize("kind", HEADERS)
def test_malformed_arrays(model: str, kind: str, spoilt: Spoilt, refused: Refused) -> None:
    def spoil(members: Members) -> None:
        members[field(schema_of(members), "classes_")["file"]] = HEADERS[kind]

    refused(spoilt(model, spoil), r"isn't an array|doesn't have the size")


WRONG: dict[str, tuple[str, str, Callable[[np.ndarray], Any]]] = {
    "too few weights": ("logistic", "coef_", lambda a: a[:, :-1]),
    "too few classes": ("logistic", "classes_", lambda a: a[:-1]),
    "other classes": ("logistic", "classes_", lambda a: a[::-1]),
    "no intercepts": ("linear-svm", "intercept_", lambda a: a[:0]),
    "not a number": ("linear-svm", "coef_", lambda a: a.__setitem__((0, 0), np.nan)),
    "infinite": ("svm-rbf", "dual_coef_", lambda a: a.__setitem__((0, 0), np.inf)),
    "fewer vectors": ("svm-rbf", "support_vectors_", lambda a: a[:-1]),
    "wider vectors": ("svm-rbf", "support_vectors_", lambda a: np.hstack([a, a])),
    "counts that don't fit": ("svm-rbf", "_n_support", lambda a: a + 1),
    "negative counts": (
        "svm-rbf",
        "_n_support",
        lambda a: np.concatenate([[-5], [a[0] + a[1] + 5], a[2:]]).astype(a.dtype),
    ),
    "fewer duals": ("svm-rbf", "_dual_coef_", lambda a: a[:1]),
    "labels out of range": ("knn", "_y", lambda a: a + 10),
    "negative labels": ("knn", "_y", lambda a: a - 1),
    "fewer labels": ("knn", "_y", lambda a: a[:-1]),
    "fewer pixels": ("knn", "_fit_X", lambda a: a[:, :100].copy()),
    "fewer baselines": ("hist-gradient-boosting", "_baseline_prediction", lambda a: a[:, 1:]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_arrays_that_do_not_fit(kind: str, spoilt: Spoilt, refused: Refused) -> None:
    model, name, change = WRONG[kind]
    refused(spoilt(model, in_array(lambda schema: field(schema, name), change)))


def first_tree(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def pick(schema: dict[str, Any]) -> dict[str, Any]:
        array: dict[str, Any] = parts(schema, "TreeNode")[0]["content"]["content"][name]
        return array

    return pick


def set_node(place: int, name: str, value: Any) -> Callable[[np.ndarray], None]:
    def change(nodes: np.ndarray) -> None:
        nodes[name][place] = value

    return change


TREES = {
    "a loop to itself": set_node(0, "left_child", 0),
    "a loop back": set_node(1, "right_child", 0),
    "a child twice": set_node(0, "right_child", 1),
    "a child beyond": set_node(0, "left_child", 10**6),
    "a child before": set_node(0, "left_child", -7),
    "half a branch": set_node(0, "left_child", -1),
    "a pixel beyond": set_node(0, "feature", 784),
    "a pixel before": set_node(0, "feature", -3),
    "no threshold": set_node(0, "threshold", np.nan),
    "too few nodes": lambda nodes: nodes[:-1],
    "no nodes": lambda nodes: nodes[:0],
    "two dimensions": lambda nodes: nodes[None],
    "bytes": lambda nodes: nodes.view(np.uint8),
}


@pytest.mark.parametrize("kind", TREES)
def test_malformed_trees(kind: str, spoilt: Spoilt, refused: Refused) -> None:
    refused(spoilt("random-forest", in_array(first_tree("nodes"), TREES[kind])), r"tree")


def test_values_of_other_classes(spoilt: Spoilt, refused: Refused) -> None:
    for change in (lambda a: a[:, :, :-1].copy(), lambda a: a[:-1], lambda a: a[:, 0]):
        refused(
            spoilt("random-forest", in_array(first_tree("values"), change)),
            "doesn't fit these images",
        )


@pytest.mark.parametrize(("place", "number"), [(0, "785"), (0, "-1"), (2, "2")])
def test_trees_of_other_sizes(place: int, number: str, spoilt: Spoilt, refused: Refused) -> None:
    def spoil(schema: dict[str, Any]) -> None:
        arguments = parts(schema, "TreeNode")[0]["__reduce__"]["args"]["content"]
        arguments[place] = {**arguments[place], "content": number, "__id__": -1}

    refused(spoilt("random-forest", in_schema(spoil)))


def test_more_nodes_than_there_are(spoilt: Spoilt, refused: Refused) -> None:
    def spoil(schema: dict[str, Any]) -> None:
        state = parts(schema, "TreeNode")[0]["content"]["content"]
        state["node_count"] = {**state["node_count"], "content": "100000", "__id__": -1}

    refused(spoilt("random-forest", in_schema(spoil)), "doesn't fit these images")


def first_predictor(schema: dict[str, Any]) -> dict[str, Any]:
    predictors = [
        part for part in parts(schema, "ObjectNode") if part["__class__"] == "TreePredictor"
    ]
    nodes: dict[str, Any] = predictors[0]["content"]["content"]["nodes"]
    return nodes


BOOSTED = {
    "a loop to itself": set_node(0, "left", 0),
    "a child twice": set_node(0, "right", 1),
    "a child beyond": set_node(0, "left", 10**6),
    "a pixel beyond": set_node(0, "feature_idx", 784),
    "a category": set_node(0, "is_categorical", 1),
    "no value": set_node(0, "value", np.nan),
    "no nodes": lambda nodes: nodes[:0],
    "bytes": lambda nodes: nodes.view(np.uint8),
}


@pytest.mark.parametrize("kind", BOOSTED)
def test_malformed_boosted_trees(kind: str, spoilt: Spoilt, refused: Refused) -> None:
    refused(spoilt("hist-gradient-boosting", in_array(first_predictor, BOOSTED[kind])), "tree")


def test_a_part_with_the_id_of_another(spoilt: Spoilt, refused: Refused) -> None:
    """skops builds parts with the same id once; an audited array mustn't be swapped."""

    def spoil(members: Members) -> None:
        schema = schema_of(members)
        tree = parts(schema, "TreeNode")[0]
        nodes = np.zeros(5, NODE_DTYPE)
        members["bad.npy"] = array_bytes(nodes)
        bad = {**tree["content"]["content"]["nodes"], "file": "bad.npy"}
        content = schema["content"]["content"]
        del content["warm_start"]
        schema["content"]["content"] = {"warm_start": bad, **content}
        members["schema.json"] = json.dumps(schema).encode()

    refused(spoilt("random-forest", spoil), "have the same id")


def test_a_duplicate_member(spoilt: Spoilt) -> None:
    folder = spoilt("logistic", lambda members: None)
    file = folder / "estimator.skops"
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(file, "a") as archive:
        archive.writestr("schema.json", "{}")
    with pytest.raises(BundleError, match="a member twice"):
        load_estimator(file.read_bytes(), "LogisticRegression", 784, 10)


def test_a_file_that_is_not_an_archive() -> None:
    for data in (b"", b"PK\x03\x04", b"\x80\x04N.", bytes(1000)):
        with pytest.raises(BundleError, match="can't be read"):
            load_estimator(data, "LogisticRegression", 784, 10)


def test_every_classical_kind_is_covered(saved: Path) -> None:
    kinds = {load(saved / model).facts.classifier.estimator for model in CLASSICAL}  # type: ignore[union-attr]
    assert kinds == set(_KINDS)


def named_again(times: int) -> Spoil:
    """The largest array of an attribute is named by `times` other parts of the attribute."""

    def spoil(members: Members) -> None:
        schema = schema_of(members)
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
        members["schema.json"] = json.dumps(schema).encode()

    return spoil


def test_an_array_that_is_named_too_often(spoilt: Spoilt, refused: Refused) -> None:
    refused(spoilt("logistic", named_again(3000)), "names its arrays too often")


def test_trees_that_share_their_arrays(spoilt: Spoilt, refused: Refused) -> None:
    """Two arrays of 1 MB each would be copied for 2,000 trees."""

    def share(members: Members) -> None:
        schema = schema_of(members)
        trees = field(schema, "estimators_")["content"]
        first = trees[0]
        tree = field(first, "tree_")
        large = np.zeros(60_000, NODE_DTYPE)  # checked only after its mentions are counted
        members[tree["content"]["content"]["nodes"]["file"]] = array_bytes(large)
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
        members["schema.json"] = json.dumps(schema).encode()

    refused(spoilt("random-forest", share), "names its arrays too often|would grow to")


@pytest.mark.parametrize(
    ("model", "kind"), [("logistic", "LogisticRegression"), ("random-forest", "DecisionTree")]
)
def test_attributes_that_a_kind_does_not_have(
    model: str, kind: str, spoilt: Spoilt, refused: Refused
) -> None:
    def add(schema: dict[str, Any]) -> None:
        part = [p for p in parts(schema, "ObjectNode") if p["__class__"].startswith(kind)][-1]
        content = part["content"]["content"]
        content["predict_proba"] = content["random_state"]

    refused(spoilt(model, in_schema(add)), f"a {kind}.* has no attribute 'predict_proba'")
