"""classical_graph.py: a graph's probabilities are those of the classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from fittingroom.bundles.classical_graph import add_classical
from fittingroom.bundles.graph import Graph
from fittingroom.data.dataset import Dataset
from fittingroom.errors import BundleError
from fittingroom.models.making import make_classifier
from fittingroom.models.nearest import MAX_PIXELS
from fittingroom.models.pixel_classifier import PixelClassifier

Computed = Callable[..., np.ndarray]


def assert_same(
    classifier: PixelClassifier, images: np.ndarray, computed: Computed, atol: float = 1e-6
) -> None:
    graph = Graph()
    given = computed(graph, add_classical(graph, "images", classifier, (28, 28)), images=images)
    expected = classifier.predict_proba(images)
    assert given.dtype == np.float32
    np.testing.assert_array_equal(given.argmax(axis=1), expected.argmax(axis=1))
    np.testing.assert_allclose(given, expected, atol=atol)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("knn", {"weights": "distance"}),
        ("knn", {"engine": "scikit-learn"}),
        ("random-forest", {"n_estimators": 7, "max_depth": 4}),
        ("hog-svm", {"cell": 7, "block": 2, "orientations": 8, "square_root": False}),
        ("hog-svm", {"second_grid": False}),
        ("logistic", {"scale": 100.0, "centre": False}),
    ],
)
def test_other_settings(
    model: str, options: dict[str, Any], small: Dataset, computed: Computed
) -> None:
    classifier = make_classifier(model, dataset=small, **options)
    classifier.fit(small.train.images[::10], small.train.labels[::10])
    known = small.train.images[:400:20]  # of which it was fitted
    assert_same(classifier, np.concatenate([small.test.images[:200], known]), computed, 1e-5)


def test_two_classes_out_of_ten(classical: str, small: Dataset, computed: Computed) -> None:
    """Then scikit-learn has one score for both, and the columns aren't labels."""
    quick: dict[str, dict[str, Any]] = {
        "random-forest": {"n_estimators": 10},
        "hist-gradient-boosting": {"max_iter": 3},
    }
    of_two = np.isin(small.train.labels, [2, 5])
    classifier = make_classifier(classical, **quick.get(classical, {}))
    classifier.fit(small.train.images[of_two][::4], small.train.labels[of_two][::4])
    assert_same(classifier, small.test.images[:200], computed)


def test_images_at_the_same_distance_are_nearer_in_their_order(computed: Computed) -> None:
    """As in the classifier: each image is one pixel away from four others."""
    images = np.zeros((5, 28, 28), np.uint8)
    images[np.arange(4), 0, np.arange(4)] = 9
    classifier = make_classifier("knn", n_neighbors=2).fit(images[:4], [3, 1, 1, 0])
    assert_same(classifier, images, computed)
    np.testing.assert_array_equal(classifier.predict_proba(images[4:]), [[0, 0.5, 0.5]])


def test_an_estimator_of_another_kind(small: Dataset) -> None:
    classifier = PixelClassifier(GaussianNB()).fit(small.train.images[:50], small.train.labels[:50])
    with pytest.raises(BundleError, match="a GaussianNB can't be converted to a graph"):
        add_classical(Graph(), "images", classifier, (28, 28))


def test_neighbours_whose_distances_a_graph_cannot_hold() -> None:
    refused = "only neighbours of images with integer pixels"
    for images in (np.full((2, 49), 7.5), np.ones((2, MAX_PIXELS + 1))):
        images[0, 0] = 200
        estimator = KNeighborsClassifier(1, algorithm="brute")
        classifier = PixelClassifier(estimator, scale=1).fit(images, [0, 1])
        with pytest.raises(BundleError, match=refused):
            add_classical(Graph(), "images", classifier, (1, images.shape[1]))
