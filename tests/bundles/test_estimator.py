"""estimator.py: an estimator's file is what it claims, or it is refused before it is built."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from fittingroom.bundles.archive import Node, field
from fittingroom.bundles.bundle import load
from fittingroom.bundles.estimator import _KINDS, estimator_bytes, load_estimator
from fittingroom.errors import BundleError

Spoil = Callable[[Node, dict[str, Any]], Any]
Spoilt = Callable[[str, Spoil], Path]
Refused = Callable[..., None]


def in_array(pick: Callable[[Node], Node], change: Callable[[np.ndarray], Any]) -> Spoil:
    """A change of an array that the description names, to what `change` returns."""

    def spoil(schema: Node, members: dict[str, Any]) -> None:
        file = pick(schema)["file"]
        array = np.load(io.BytesIO(members[file]), allow_pickle=False)
        changed = change(array)
        members[file] = array if changed is None else changed

    return spoil


def test_a_repacked_estimator_is_read(classical: str, spoilt: Spoilt) -> None:
    assert load(spoilt(classical, lambda schema, members: None)).facts.model == classical


def test_an_estimator_other_than_the_manifests(
    classical: str, spoilt: Spoilt, refused: Refused
) -> None:
    def spoil(schema: Node, members: dict[str, Any]) -> None:
        schema["__class__"], schema["__module__"] = "DummyClassifier", "sklearn.dummy"

    refused(spoilt(classical, spoil), "has no part")


def test_a_kind_that_no_bundle_may_hold() -> None:
    with pytest.raises(BundleError, match="isn't an estimator that a bundle may hold"):
        load_estimator(b"", "os.system", 784, 10)
    with pytest.raises(BundleError, match="'GaussianNB' isn't an estimator that a bundle may hold"):
        estimator_bytes(GaussianNB().fit([[0.0], [1.0]], [0, 1]))


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


def first_tree(schema: Node) -> Node:
    return field(field(schema, "estimators_")["content"][0], "tree_")


def of_first_tree(name: str) -> Callable[[Node], Node]:
    return lambda schema: field(first_tree(schema)["content"], name)


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
    refused(spoilt("random-forest", in_array(of_first_tree("nodes"), TREES[kind])), r"tree")


def test_values_of_other_classes(spoilt: Spoilt, refused: Refused) -> None:
    for change in (lambda a: a[:, :, :-1].copy(), lambda a: a[:-1], lambda a: a[:, 0]):
        refused(
            spoilt("random-forest", in_array(of_first_tree("values"), change)),
            "doesn't fit these images",
        )


@pytest.mark.parametrize(("place", "number"), [(0, "785"), (0, "-1"), (2, "2")])
def test_trees_of_other_sizes(place: int, number: str, spoilt: Spoilt, refused: Refused) -> None:
    def spoil(schema: Node, members: dict[str, Any]) -> None:
        arguments = first_tree(schema)["__reduce__"]["args"]["content"]
        arguments[place] = {**arguments[place], "content": number, "__id__": -1}

    refused(spoilt("random-forest", spoil))


def test_more_nodes_than_there_are(spoilt: Spoilt, refused: Refused) -> None:
    def spoil(schema: Node, members: dict[str, Any]) -> None:
        state = first_tree(schema)["content"]["content"]
        state["node_count"] = {**state["node_count"], "content": "100000", "__id__": -1}

    refused(spoilt("random-forest", spoil), "doesn't fit these images")


def first_predictor(schema: Node) -> Node:
    """The nodes of the first boosted tree."""
    return field(field(schema, "_predictors")["content"][0]["content"][0], "nodes")


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


def test_every_classical_kind_is_covered(saved: Path) -> None:
    classifiers = [load(folder).facts.classifier for folder in saved.iterdir()]
    assert {c.estimator for c in classifiers if c.kind == "classical"} == set(_KINDS)


def test_a_file_that_is_not_an_archive() -> None:
    for data in (b"", b"PK\x03\x04", b"\x80\x04N.", bytes(1000)):
        with pytest.raises(BundleError, match="can't be read"):
            load_estimator(data, "LogisticRegression", 784, 10)
