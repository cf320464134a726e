"""Forests and boosted trees as one `TreeEnsemble` of an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from fittingroom.bundles.graph import ML, Graph

#: Mode of a node: values of at most the split go left.
_AT_MOST = 0


@dataclass(frozen=True, eq=False)
class _Tree:
    """A tree as arrays (nodes,); of a leaf only `weight` counts, of other nodes all but that.

    Attributes
    ----------
    leaf : bool
    feature, split, left, right : an image goes left if its feature is at most `split`, else right
    weight : what a leaf adds to the sum `target`
    """

    leaf: NDArray[np.bool_]
    feature: NDArray[Any]
    split: NDArray[Any]
    left: NDArray[Any]
    right: NDArray[Any]
    weight: NDArray[Any]
    target: int


def add_forest(graph: Graph, inputs: str, fitted: RandomForestClassifier) -> str:
    """The mean (batch, classes) of the class shares in the trees' leaves.

    A leaf of `TreeEnsemble` adds to only one sum, so each gives its row in a table of all distinct
    shares: ten if the trees of ten classes are fully grown.
    """
    grown = [tree.tree_ for tree in fitted.estimators_]
    shares = np.concatenate([tree.value[:, 0] for tree in grown])  # (nodes, classes)
    leaves = np.concatenate([tree.children_left == -1 for tree in grown])
    rows: dict[bytes, int] = {}
    row_of_node = np.zeros(len(leaves))
    row_of_node[leaves] = [rows.setdefault(share.tobytes(), len(rows)) for share in shares[leaves]]
    table = np.frombuffer(b"".join(rows), shares.dtype).reshape(len(rows), -1)
    ends = np.cumsum([tree.node_count for tree in grown])
    trees = [
        _Tree(
            leaf=tree.children_left == -1,
            feature=tree.feature,
            split=tree.threshold,
            left=tree.children_left,
            right=tree.children_right,
            weight=row_of_node[end - tree.node_count : end],
            target=number,
        )
        for number, (tree, end) in enumerate(zip(grown, ends, strict=True))
    ]
    scores = _add_ensemble(graph, graph.cast(inputs, np.float32), trees, len(trees), np.float32)
    per_tree = graph.add("Gather", table, graph.cast(scores, np.int64))  # (batch, trees, classes)
    return graph.add("ReduceMean", per_tree, np.array([1]), keepdims=0)


def add_boosting(graph: Graph, inputs: str, fitted: HistGradientBoostingClassifier) -> str:
    """Softmax (batch, classes) of the trees' sums; of a single sum, of plus and minus its half."""
    trees = [
        _Tree(
            leaf=predictor.nodes["is_leaf"] == 1,
            feature=predictor.nodes["feature_idx"],
            split=predictor.nodes["num_threshold"],
            left=predictor.nodes["left"],
            right=predictor.nodes["right"],
            weight=predictor.nodes["value"],
            target=target,
        )
        for predictors in fitted._predictors
        for target, predictor in enumerate(predictors)
    ]
    sums = _add_ensemble(graph, inputs, trees, fitted.n_trees_per_iteration_, np.float64)
    scores = graph.add("Add", sums, fitted._baseline_prediction)
    if fitted.n_trees_per_iteration_ == 1:
        scores = graph.add("Mul", scores, np.array([[-0.5, 0.5]]))
    return graph.softmax(scores)


def _add_ensemble(
    graph: Graph, inputs: str, trees: Sequence[_Tree], n_targets: int, dtype: type[np.floating]
) -> str:
    """Sums (batch, n_targets) of the leaves that integer pixels (batch, features) reach."""
    parts, n_nodes, n_leaves = [], 0, 0
    for tree in trees:
        parts.append(_attributes(tree, n_nodes, n_leaves))
        n_nodes += len(parts[-1]["nodes_featureids"])
        n_leaves += len(parts[-1]["leaf_targetids"])
    merged = {name: np.concatenate([attributes[name] for attributes in parts]) for name in parts[0]}
    tensors = {
        # Pixels are integers, so splits may be rounded down to integers, which float32 holds.
        "nodes_splits": np.floor(merged.pop("nodes_splits")).astype(dtype),
        "leaf_weights": merged.pop("leaf_weights").astype(dtype),
        "nodes_modes": np.full(n_nodes, _AT_MOST, np.uint8),
    }
    return graph.add(
        "TreeEnsemble",
        inputs,
        domain=ML,
        n_targets=n_targets,
        **{name: numpy_helper.from_array(array, name) for name, array in tensors.items()},
        **{name: array.tolist() for name, array in merged.items()},
    )


def _attributes(tree: _Tree, first_node: int, first_leaf: int) -> dict[str, NDArray[Any]]:
    """The attributes of `TreeEnsemble` for a tree whose nodes and leaves are numbered from these.

    Inner nodes and leaves are numbered separately. A tree of one leaf becomes a node that has it on
    both branches.
    """
    inner = np.flatnonzero(~tree.leaf)
    numbers = np.where(
        tree.leaf,
        first_leaf + np.cumsum(tree.leaf) - 1,
        first_node + np.cumsum(~tree.leaf) - 1,
    )
    left, right = tree.left[inner].astype(np.int64), tree.right[inner].astype(np.int64)
    if not len(inner):
        inner = left = right = np.zeros(1, np.int64)
    weights = tree.weight[tree.leaf]
    return {
        "tree_roots": np.array([first_node]),
        "nodes_featureids": np.where(tree.leaf[inner], 0, tree.feature[inner]),
        "nodes_splits": np.where(tree.leaf[inner], 0, tree.split[inner]),
        "nodes_truenodeids": numbers[left],
        "nodes_trueleafs": tree.leaf[left].astype(np.int64),
        "nodes_falsenodeids": numbers[right],
        "nodes_falseleafs": tree.leaf[right].astype(np.int64),
        "leaf_targetids": np.full(len(weights), tree.target),
        "leaf_weights": weights,
    }
