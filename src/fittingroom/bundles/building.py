"""Builds the estimator that a skops file describes, after `archive.py` has checked its parts.

It builds what skops does. But importing skops imports all of scikit-learn, and torch if that is
installed: twice the time that it takes to load a model and classify a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn._loss.link import Interval, LogitLink, MultinomialLogit
from sklearn._loss.loss import HalfBinomialLoss, HalfMultinomialLoss
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import LabelEncoder
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from fittingroom.bundles.archive import Archive, Node, plain_value

#: Whose objects a file may hold.
CLASSES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        LogisticRegression,
        LinearSVC,
        SVC,
        KNeighborsClassifier,
        RandomForestClassifier,
        DecisionTreeClassifier,
        HistGradientBoostingClassifier,
        LabelEncoder,
        TreePredictor,
        _BinMapper,
        Interval,
        LogitLink,
        MultinomialLogit,
        HalfBinomialLoss,
        HalfMultinomialLoss,
    )
}


def build(archive: Archive) -> Any:
    """The fitted estimator. Its class may raise anything for contents that nobody checked."""
    return _Builder(archive).part(archive.root)


class _Builder:
    """Builds each part once, for all mentions of its id."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._built: dict[Any, Any] = {}

    def part(self, node: Node) -> Any:
        if "__id__" not in node:
            return _BUILDERS[node["__loader__"]](self, node)
        if node["__id__"] not in self._built:
            self._built[node["__id__"]] = _BUILDERS[node["__loader__"]](self, node)
        return self._built[node["__id__"]]

    def plain(self, node: Node) -> Any:
        return plain_value(node)

    def mapping(self, node: Node) -> dict[str, Any]:
        """The only type of keys that the archive may have is text."""
        return {name: self.part(value) for name, value in node["content"].items()}

    def sequence(self, node: Node) -> list[Any]:
        return [self.part(value) for value in node["content"]]

    def array(self, node: Node) -> Any:
        """An array, or a number of NumPy's."""
        array = self._archive.read(node)
        return array if node["__class__"] == "ndarray" else array[()]

    def instance(self, node: Node) -> Any:
        """An object with its attributes, without a call of its constructor."""
        kind = CLASSES[node["__class__"]]
        instance: Any = object.__new__(kind)
        _set_state(instance, self.part(node["content"]))
        return instance

    def tree(self, node: Node) -> Tree:
        tree = Tree(*self.part(node["__reduce__"]["args"]))
        tree.__setstate__(self.part(node["content"]))
        return tree


def _set_state(instance: Any, state: dict[str, Any] | None) -> None:
    if state is None:
        return
    if hasattr(instance, "__setstate__"):
        instance.__setstate__(state)
    else:
        vars(instance).update(state)


#: By what skops calls them.
_BUILDERS: dict[str, Callable[[_Builder, Node], Any]] = {
    "DictNode": _Builder.mapping,
    "JsonNode": _Builder.plain,
    "ListNode": _Builder.sequence,
    "TupleNode": lambda builder, node: tuple(builder.sequence(node)),
    "NdArrayNode": _Builder.array,
    "ObjectNode": _Builder.instance,
    "TreeNode": _Builder.tree,
    "LossNode": lambda builder, node: None,  # only a fit calls it
}
