"""A bundle's scikit-learn estimator: a skops file, audited before it is built."""

from __future__ import annotations

import copy
import io
import math
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree._tree import NODE_DTYPE

from fittingroom.bundles.archive import Archive, Node, field, plain_value
from fittingroom.bundles.attributes import ATTRIBUTES
from fittingroom.bundles.building import build
from fittingroom.bundles.describing import file_of
from fittingroom.errors import BundleError
from fittingroom.models.engine import to_stock
from fittingroom.models.nearest import NearestImages
from fittingroom.models.pixels import as_pixels

_PLAIN = {
    "DictNode builtins.dict",
    "JsonNode builtins.str",
    "ListNode builtins.list",
    "NdArrayNode numpy.ndarray",
    "TupleNode builtins.tuple",
    "TypeNode builtins.str",
}
_BOOSTING = "sklearn.ensemble._hist_gradient_boosting"
_TREE = "sklearn.tree._tree.Tree"
_BOOSTED = [
    f"{_BOOSTING}.binning._BinMapper",
    f"{_BOOSTING}.predictor.TreePredictor",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
]
#: Of boosted trees that were saved with what only a fit needs.
_COMPILED_LOSSES = [
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
]
#: Parameters that change only how a prediction is computed.
_QUIET = {"n_jobs": -1, "verbose": 0}


def estimator_bytes(fitted: Any) -> bytes:
    """A fitted estimator as a skops file, which holds a stock scikit-learn one.

    Raises BundleError for a kind that no bundle may hold.
    """
    is_ours = isinstance(fitted, NearestImages)
    estimator = copy.copy(fitted.to_scikit_learn(np.uint8) if is_ours else to_stock(fitted))
    # Only what can be loaded: another version of scikit-learn may leave more attributes than that,
    # and numbers that are NumPy's.
    kind = type(estimator).__name__
    _require_known(kind)
    read = ATTRIBUTES[kind]
    estimator.__dict__ = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in vars(estimator).items()
        if name in read
    }
    if isinstance(estimator, KNeighborsClassifier):
        pixels = as_pixels(estimator._fit_X)
        estimator._fit_X = estimator._fit_X if pixels is None else pixels  # floats are 4 to 8 bytes
    if isinstance(estimator, HistGradientBoostingClassifier):
        # Only a fit draws from the one and calls the other, whose module has no lasting name.
        estimator._feature_subsample_rng = None
        estimator._loss = copy.copy(estimator._loss)
        estimator._loss.closs = None
    return file_of(estimator)


def load_estimator(data: bytes, kind: str, n_features: int, n_classes: int) -> BaseEstimator:
    """Load the estimator of a skops file, whose classes are 0 … n_classes - 1.

    Parameters
    ----------
    data : the file
    kind : the name of its class
    n_features : how many it takes

    Raises
    ------
    BundleError : the file holds anything but such an estimator
    """
    _require_known(kind)
    parts, check = _KINDS[kind]
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            archive = Archive(file, _PLAIN | parts)
            if archive.root["__class__"] != kind:
                raise BundleError(f"it isn't a {kind}.")
            _check_classes(archive, n_classes)
            check(archive, n_features, n_classes)
            with warnings.catch_warnings():
                # What was checked above is all that a prediction needs, in every version of
                # scikit-learn that this package may be installed with.
                warnings.simplefilter("ignore", InconsistentVersionWarning)
                estimator = build(archive)
    except BundleError:
        raise
    # A library may raise anything for an untrusted file, and it is all the same to our caller.
    except Exception as error:
        raise BundleError(
            f"the estimator can't be read ({type(error).__name__}: {str(error)[:200]})."
        ) from error
    # Parameters that the version which saved it doesn't have.
    for name, value in type(estimator)().get_params(deep=False).items():
        vars(estimator).setdefault(name, value)
    quiet = {name: v for name, v in _QUIET.items() if name in estimator.get_params()}
    fitted: BaseEstimator = estimator.set_params(**quiet)
    return fitted


def _require_known(kind: str) -> None:
    if kind not in _KINDS:
        raise BundleError(f"{kind[:50]!r} isn't an estimator that a bundle may hold.")


def _check_classes(archive: Archive, n_classes: int) -> None:
    classes = archive.read(field(archive.root, "classes_"))
    if not np.array_equal(classes, np.arange(n_classes)):
        raise BundleError("the estimator's classes aren't the manifest's.")


def _check_linear(archive: Archive, n_features: int, n_classes: int) -> None:
    rows = 1 if n_classes == 2 else n_classes
    _expect(archive, coef_=(rows, n_features), intercept_=(rows,))


def _check_svc(archive: Archive, n_features: int, n_classes: int) -> None:
    root, pairs = archive.root, n_classes * (n_classes - 1) // 2
    counts = archive.read(field(root, "_n_support"))
    vectors = int(counts.sum())
    duals = (n_classes - 1, vectors)
    _expect(
        archive,
        support_=(vectors,),
        support_vectors_=(vectors, n_features),
        dual_coef_=duals,
        _dual_coef_=duals,
        intercept_=(pairs,),
        _intercept_=(pairs,),
        _n_support=(n_classes,),
        _probA=(0,),
        _probB=(0,),
    )
    gamma = plain_value(field(root, "_gamma"))
    if plain_value(field(root, "kernel")) != "rbf" or not 0 < gamma < math.inf or counts.min() < 0:
        raise BundleError("the support vector machine has unsupported settings.")


def _check_neighbors(archive: Archive, n_features: int, n_classes: int) -> None:
    root = archive.root
    labels = archive.read(field(root, "_y"))
    n = len(labels)
    _expect(archive, _fit_X=(n, n_features), _y=(n,))
    expected = {
        "_fit_method": "brute",
        "_tree": None,
        "effective_metric_": "euclidean",
        "outputs_2d_": False,
    }
    if any(plain_value(field(root, name)) != value for name, value in expected.items()):
        raise BundleError("the nearest-neighbour search has unsupported settings.")
    _check_range(labels, n_classes, "the neighbours have a class that doesn't exist.")
    if not 1 <= plain_value(field(root, "n_neighbors")) <= n:
        raise BundleError("there are fewer neighbours than n_neighbors.")


def _check_forest(archive: Archive, n_features: int, n_classes: int) -> None:
    _expect_plain(archive.root, n_classes_=n_classes, n_outputs_=1)
    trees = field(archive.root, "estimators_")["content"]
    if not trees:
        raise BundleError("the forest has no tree.")
    for tree in trees:
        _expect_plain(tree, n_features_in_=n_features, n_outputs_=1)
        if archive.read(field(tree, "n_classes_")).item() != n_classes:
            raise BundleError("a tree of the forest doesn't fit these classes.")
        _check_tree(archive, field(tree, "tree_"), n_features, n_classes)


def _check_tree(archive: Archive, tree: Node, n_features: int, n_classes: int) -> None:
    """Refuse a tree whose nodes point anywhere but to nodes below them."""
    arguments = tree["__reduce__"]["args"]["content"]
    state = tree["content"]
    nodes, values = (archive.read(field(state, name)) for name in ("nodes", "values"))
    if (
        plain_value(arguments[0]) != n_features
        or archive.read(arguments[1]).tolist() != [n_classes]
        or plain_value(arguments[2]) != 1
        or nodes.dtype != NODE_DTYPE
        or nodes.shape != (plain_value(field(state, "node_count")),)
        or values.dtype != np.float64
        or values.shape != (len(nodes), 1, n_classes)
    ):
        raise BundleError("a tree of the forest doesn't fit these images and classes.")
    leaf = nodes["left_child"] == -1
    if (nodes["right_child"][leaf] != -1).any():
        raise BundleError("a tree of the forest has a node with only one child.")
    inner = nodes[~leaf]
    _check_branches(~leaf, inner["left_child"], inner["right_child"])
    _check_range(inner["feature"], n_features, "a tree splits on a pixel that no image has.")
    _check_finite(inner["threshold"], values)


def _check_boosting(archive: Archive, n_features: int, n_classes: int) -> None:
    root, trees = archive.root, 1 if n_classes == 2 else n_classes
    _expect(archive, _baseline_prediction=(1, trees))
    _expect_plain(root, n_trees_per_iteration_=trees, _n_features=n_features, _preprocessor=None)
    bins = field(root, "_bin_mapper")
    if archive.read(field(bins, "is_categorical_")).any():
        raise BundleError("the boosted trees aren't made for pixels.")
    rounds = field(root, "_predictors")["content"]
    if not rounds or any(len(predictors["content"]) != trees for predictors in rounds):
        raise BundleError("the boosted trees don't fit these classes.")
    for predictors in rounds:
        for predictor in predictors["content"]:
            _check_predictor(archive.read(field(predictor, "nodes")), n_features)


def _check_predictor(nodes: NDArray[Any], n_features: int) -> None:
    """Like `_check_tree`, for a boosted tree."""
    if nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1 or nodes["is_categorical"].any():
        raise BundleError("a boosted tree doesn't split on numbers alone.")
    inner = nodes["is_leaf"] == 0
    branches = nodes[inner]
    _check_branches(inner, branches["left"].astype(np.int64), branches["right"].astype(np.int64))
    _check_range(branches["feature_idx"], n_features, "a tree splits on a pixel that no image has.")
    _check_finite(nodes["value"])


def _check_branches(
    inner: NDArray[np.bool_], left: NDArray[np.integer], right: NDArray[np.integer]
) -> None:
    """Every node but the first must be the child of exactly one earlier node: no loops."""
    children = np.concatenate([left, right])
    parents = np.tile(np.flatnonzero(inner), 2)
    each_once = np.array_equal(np.sort(children), np.arange(1, len(inner)))
    if not len(inner) or not each_once or (children <= parents).any():
        raise BundleError("a tree's branches don't make a tree.")


def _check_range(numbers: NDArray[Any], end: int, complaint: str) -> None:
    if numbers.dtype.kind not in "iu" or ((numbers < 0) | (numbers >= end)).any():
        raise BundleError(complaint)


def _check_finite(*arrays: NDArray[Any]) -> None:
    if not all(array.dtype.kind in "biu" or np.isfinite(array).all() for array in arrays):
        raise BundleError("a tree or an array holds numbers that are not finite.")


def _expect(archive: Archive, **shapes: tuple[int, ...]) -> None:
    """Refuse an estimator unless these attributes are finite arrays of these shapes."""
    for name, shape in shapes.items():
        node = field(archive.root, name)
        if archive.shape(node) != shape:
            raise BundleError(f"the estimator's {name} doesn't have the shape {shape}.")
        _check_finite(archive.read(node))


def _expect_plain(node: Node, **values: Any) -> None:
    for name, value in values.items():
        if plain_value(field(node, name)) != value:
            raise BundleError(f"the estimator's {name} isn't {value}.")


#: By kind, the parts of its description besides the plain ones, and the check of its contents.
_KINDS: dict[str, tuple[set[str], Callable[[Archive, int, int], None]]] = {
    "LogisticRegression": (
        {"ObjectNode sklearn.linear_model._logistic.LogisticRegression"},
        _check_linear,
    ),
    "LinearSVC": ({"ObjectNode sklearn.svm._classes.LinearSVC"}, _check_linear),
    "SVC": ({"ObjectNode sklearn.svm._classes.SVC"}, _check_svc),
    "KNeighborsClassifier": (
        {"ObjectNode sklearn.neighbors._classification.KNeighborsClassifier"},
        _check_neighbors,
    ),
    "RandomForestClassifier": (
        {
            "ObjectNode sklearn.ensemble._forest.RandomForestClassifier",
            "ObjectNode sklearn.tree._classes.DecisionTreeClassifier",
            "NdArrayNode numpy.int64",
            f"TreeNode {_TREE}",
        },
        _check_forest,
    ),
    "HistGradientBoostingClassifier": (
        {
            f"ObjectNode {_BOOSTING}.gradient_boosting.HistGradientBoostingClassifier",
            "ObjectNode sklearn.preprocessing._label.LabelEncoder",
            "NdArrayNode numpy.uint64",
            *(f"LossNode {name}" for name in _COMPILED_LOSSES),
            *(f"ObjectNode {name}" for name in _BOOSTED),
        },
        _check_boosting,
    ),
}
