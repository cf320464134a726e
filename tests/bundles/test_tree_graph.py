"""tree_graph.py: an image reaches the same leaves as in scikit-learn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from fittingroom.bundles.graph import Graph
from fittingroom.bundles.tree_graph import add_boosting, add_forest
from fittingroom.data.dataset import Dataset

Computed = Callable[..., np.ndarray]


def rows(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)


def test_a_forest_gives_the_mean_of_its_trees(small: Dataset, computed: Computed) -> None:
    """Of which some have mixed leaves and others are one leaf."""
    images, labels = rows(small.train.images[::10]), small.train.labels[::10]
    for limit in ({"max_depth": 3}, {"min_samples_split": 150}, {}):
        forest = RandomForestClassifier(5, random_state=0, **limit).fit(images, labels)
        graph, unseen = Graph(), rows(small.test.images[:100])
        given = computed(graph, add_forest(graph, "pixels", forest), pixels=unseen)
        shares = [tree.predict_proba(unseen) for tree in forest.estimators_]
        np.testing.assert_allclose(given, np.mean(shares, axis=0), atol=1e-15)


def test_splits_between_two_pixels(computed: Computed) -> None:
    """Of 10 and 13, scikit-learn splits at 11.5: 11 still goes left."""
    pixels = np.array([[10.0], [13.0]] * 20)
    forest = RandomForestClassifier(3, random_state=0).fit(pixels, [0, 1] * 20)
    graph, between = Graph(), np.arange(9.0, 15)[:, None]
    given = computed(graph, add_forest(graph, "pixels", forest), pixels=between)
    np.testing.assert_array_equal(given.argmax(axis=1), [0, 0, 0, 1, 1, 1])


def test_boosted_trees_and_trees_of_a_single_leaf(small: Dataset, computed: Computed) -> None:
    """With too few images for any split every boosted tree is one leaf."""
    images, labels = rows(small.train.images), small.train.labels
    of_two = np.flatnonzero(labels < 2)
    for chosen, most in ((slice(0, None, 100), 1), (slice(0, None, 10), 3), (of_two, 3)):
        boosting = HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=2, random_state=0)
        boosting.fit(images[chosen], labels[chosen])
        trees = [tree for trees in boosting._predictors for tree in trees]
        assert max(len(tree.nodes) for tree in trees) == most
        graph, unseen = Graph(), rows(small.test.images[:50])
        given = computed(graph, add_boosting(graph, "pixels", boosting), pixels=unseen)
        np.testing.assert_allclose(given, boosting.predict_proba(unseen), atol=1e-12)
