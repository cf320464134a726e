"""A classical model as nodes of an ONNX graph: pixels, features, scores, probabilities.

Written out here, since existing converters compute in float32, break ties differently, and don't
know our probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, LinearSVC

from fittingroom.bundles.graph import Graph
from fittingroom.bundles.hog_graph import add_hog
from fittingroom.bundles.tree_graph import add_boosting, add_forest
from fittingroom.errors import BundleError
from fittingroom.models.calibrated_svm import CalibratedSVM, pair_decisions, pair_weights
from fittingroom.models.engine import to_stock
from fittingroom.models.nearest import MAX_PIXELS
from fittingroom.models.pixel_classifier import PixelClassifier
from fittingroom.models.pixels import as_pixels


def add_classical(
    graph: Graph, images: str, classifier: PixelClassifier, image_shape: tuple[int, int]
) -> str:
    """Add a classifier's probabilities (batch, classes) float32 of uint8 images.

    Parameters
    ----------
    images : name of the graph's input (batch, height, width)

    Raises
    ------
    BundleError : the estimator isn't of a kind that the catalogue has
    """
    pixels = graph.add("Reshape", images, np.array([-1, math.prod(image_shape)]))
    estimator = to_stock(classifier.estimator_)
    if type(estimator) not in _KINDS:
        raise BundleError(f"a {type(estimator).__name__} can't be converted to a graph.")
    inputs = pixels
    if not isinstance(estimator, KNeighborsClassifier):
        inputs = _inputs(graph, pixels, classifier)
    scores = _KINDS[type(estimator)](graph, inputs, estimator)
    if isinstance(classifier, CalibratedSVM):
        scores = graph.softmax(graph.add("Div", scores, np.array(classifier.temperature_)))
    return graph.cast(scores, np.float32)


def _inputs(graph: Graph, pixels: str, classifier: PixelClassifier) -> str:
    """The estimator's inputs, float64 (batch, features), rounded to float32 as in the fit."""
    scaled = graph.cast(pixels, np.float32)
    if classifier.scale != 1:
        scaled = graph.add("Div", scaled, np.array(classifier.scale, np.float32))
    if classifier.mean_ is not None:
        scaled = graph.add("Sub", scaled, classifier.mean_)
    if classifier.features_ is not None:
        scaled = add_hog(graph, scaled, classifier.features_)
    return graph.cast(scaled, np.float64)


def _add_logistic(graph: Graph, inputs: str, fitted: LogisticRegression) -> str:
    """Probabilities: softmax of the scores, for two classes of plus and minus half the only one."""
    half = 0.5 if len(fitted.classes_) == 2 else 1.0
    return graph.softmax(_linear(graph, inputs, half * fitted.coef_, half * fitted.intercept_))


def _add_linear_svc(graph: Graph, inputs: str, fitted: LinearSVC) -> str:
    return _linear(graph, inputs, fitted.coef_, fitted.intercept_)


def _linear(graph: Graph, inputs: str, rows: Any, offsets: Any) -> str:
    """Scores (batch, classes); one row stands for two classes."""
    if len(rows) == 1:
        rows, offsets = np.concatenate([-rows, rows]), np.concatenate([-offsets, offsets])
    products = graph.add("MatMul", inputs, rows.T.astype(np.float64))
    return graph.add("Add", products, offsets.astype(np.float64))


def _add_svc(graph: Graph, inputs: str, fitted: SVC) -> str:
    """Scores (batch, classes) as in `one_vs_one_scores`."""
    weights, pairs = pair_weights(fitted)
    kernel = _rbf_kernel(graph, inputs, fitted.support_vectors_, fitted._gamma)
    if len(pairs) == 1:
        return _linear(graph, kernel, weights.T, fitted.intercept_)
    margins = graph.add("MatMul", kernel, weights)
    margins = graph.add("Add", margins, fitted.intercept_)
    decided, losses = pair_decisions(pairs, len(fitted.classes_))
    first = graph.add("GreaterOrEqual", margins, np.array(0.0))
    votes = graph.add("MatMul", graph.cast(first, np.float64), decided)
    votes = graph.add("Add", votes, losses)
    confidence = graph.add("MatMul", margins, decided)
    size = graph.add("Add", graph.add("Abs", confidence), np.array(1.0))
    ties = graph.add("Div", confidence, graph.add("Mul", size, np.array(3.0)))
    return graph.add("Add", votes, ties)


def _rbf_kernel(graph: Graph, inputs: str, vectors: Any, gamma: float) -> str:
    """`exp(-gamma |x - v|²)`, (batch, vectors) float64."""
    squares = graph.add("ReduceSumSquare", inputs, np.array([1]), keepdims=1)
    # They were float32 before libsvm converted them, and take half the space that way.
    narrow = vectors.T.astype(np.float32)
    stored = graph.constant(narrow) if (narrow == vectors.T).all() else graph.constant(vectors.T)
    products = graph.add("MatMul", inputs, graph.cast(stored, np.float64))
    distances = graph.add("Sub", squares, graph.add("Mul", products, np.array(2.0)))
    distances = graph.add("Add", distances, (vectors**2).sum(axis=1))
    return graph.add("Exp", graph.add("Mul", graph.add("Relu", distances), np.array(-gamma)))


def _add_neighbours(graph: Graph, pixels: str, fitted: KNeighborsClassifier) -> str:
    """Shares of the votes (batch, classes), from products of bytes, so that ties stay ties."""
    images = as_pixels(fitted._fit_X)
    if images is None or images.shape[1] > MAX_PIXELS:
        raise BundleError(
            "only neighbours of images with integer pixels can be converted to a graph."
        )
    norms = np.einsum("ij,ij->i", images, images, dtype=np.int32)
    products = graph.add("MatMulInteger", pixels, images.T)
    # Without the image's own norm, which is the same for all neighbours.
    squared = graph.add("Sub", norms, graph.add("Mul", products, np.array(2, np.int32)))
    k = np.array([fitted.n_neighbors])
    nearest, positions = graph.add_several("TopK", 2, squared, k, largest=0)
    codes = graph.add("Gather", fitted._y.astype(np.int64), positions)  # (batch, k)
    codes = graph.add("Unsqueeze", codes, np.array([2]))
    votes = graph.cast(graph.add("Equal", codes, np.arange(len(fitted.classes_))), np.float64)
    if fitted.weights == "distance":
        weights = _weights(graph, pixels, nearest)
        votes = graph.add("Mul", votes, graph.add("Unsqueeze", weights, np.array([2])))
    sums = graph.add("ReduceSum", votes, np.array([1]), keepdims=0)
    return graph.add("Div", sums, graph.add("ReduceSum", sums, np.array([1]), keepdims=1))


def _weights(graph: Graph, pixels: str, squared: str) -> str:
    """1 / distance (batch, k); exact copies outvote all other neighbours."""
    own = graph.add("ReduceSumSquare", graph.cast(pixels, np.float64), np.array([1]), keepdims=1)
    distances = graph.add("Sqrt", graph.add("Add", graph.cast(squared, np.float64), own))
    is_copy = graph.add("Equal", distances, np.array(0.0))
    ones = graph.cast(is_copy, np.float64)
    has_copy = graph.add("ReduceMax", ones, np.array([1]), keepdims=1)
    inverse = graph.add("Reciprocal", graph.add("Where", is_copy, np.array(1.0), distances))
    return graph.add("Where", graph.cast(has_copy, np.bool_), ones, inverse)


_KINDS: dict[type[BaseEstimator], Callable[[Graph, str, Any], str]] = {
    LogisticRegression: _add_logistic,
    LinearSVC: _add_linear_svc,
    SVC: _add_svc,
    KNeighborsClassifier: _add_neighbours,
    RandomForestClassifier: add_forest,
    HistGradientBoostingClassifier: add_boosting,
}
