"""Neighbours against distances in 64-bit integers, and against scikit-learn."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from fittingroom.data.dataset import Dataset
from fittingroom.kernels import capabilities
from fittingroom.models import nearest, nearest_search
from fittingroom.models.nearest import NearestImages, can_search


@pytest.fixture(scope="module")
def images(small: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """2,000 real images (n, 784) uint8, their labels, and 300 unseen images."""
    train, test = small.train.images.reshape(2000, -1), small.test.images.reshape(1000, -1)
    return train, small.train.labels.astype(np.int64), test[::3][:300]


def search(images: Any, **options: Any) -> NearestImages:
    return NearestImages(KNeighborsClassifier(algorithm="brute", **options), images[0], images[1])


def exact(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Squared distances (test, train)."""
    a, b = test.astype(np.int64), train.astype(np.int64)
    return (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T  # type: ignore[no-any-return]


@pytest.mark.parametrize("k", [1, 5, 64])
def test_neighbours_are_exact(k: int, images: Any) -> None:
    check(images[0], images[2], *search(images, n_neighbors=k).neighbours(images[2]))


@pytest.mark.parametrize("k", [1, 64])
def test_neighbours_of_few_images_are_exact_without_torch(
    k: int, images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "BLOCK", 130)
    monkeypatch.delitem(sys.modules, "fittingroom.models.nearest_search")
    few = images[2][: nearest.FEW]
    check(images[0], few, *search(images, n_neighbors=k).neighbours(few))
    assert "fittingroom.models.nearest_search" not in sys.modules


def check(train: Any, queries: Any, positions: Any, distances: Any) -> None:
    """Positions and distances (queries, k) are those in 64-bit integers."""
    squared = exact(train, queries)
    order = np.argsort(squared, axis=1, kind="stable")[:, : positions.shape[1]]
    np.testing.assert_array_equal(positions, order)
    np.testing.assert_array_equal(distances, np.sqrt(np.take_along_axis(squared, order, 1)))


def test_of_equal_distances_the_first_is_nearer(images: Any) -> None:
    train, codes, test = images
    twice = (np.concatenate([train[:50]] * 3), np.concatenate([codes[:50]] * 3), test)
    positions, _ = search(twice, n_neighbors=3).neighbours(train[:50])
    np.testing.assert_array_equal(positions, np.arange(50)[:, None] + [0, 50, 100])


@pytest.mark.parametrize("way", ["few", "floats", "bytes"])
def test_the_greatest_distance_is_exact(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the largest images whose sums are exact in float32, or in 32 bits."""
    monkeypatch.setattr(nearest_search, "byte_matrices", None)
    n_pixels = nearest.MAX_PIXELS if way == "bytes" else nearest.MAX_FLOAT_PIXELS
    if way == "few":
        monkeypatch.delitem(sys.modules, "fittingroom.models.nearest_search")
    elif way == "floats":
        monkeypatch.setattr(capabilities, "multiplies_bytes", lambda: False)
    elif not capabilities.multiplies_bytes():
        pytest.skip("no instructions for bytes")
    pixels = np.repeat(np.array([[0], [255]], np.uint8), n_pixels, axis=1)
    positions, distances = search((pixels, np.array([0, 1])), n_neighbors=2).neighbours(pixels)
    np.testing.assert_array_equal(positions, [[0, 1], [1, 0]])
    np.testing.assert_array_equal(distances, np.sqrt([[0, 255**2 * n_pixels]] * 2))


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_votes_equal_scikit_learns(weights: str, images: Any) -> None:
    ours = search(images, weights=weights)
    queries = np.concatenate([images[2], images[0][:20]])  # identical images outvote all
    theirs = ours.to_scikit_learn()
    assert type(theirs) is KNeighborsClassifier
    assert theirs.weights == weights
    np.testing.assert_allclose(
        ours.predict_proba(queries), theirs.predict_proba(queries.astype(np.float32)), atol=1e-6
    )


def test_fractional_pixels_are_compared_by_scikit_learn(images: Any) -> None:
    ours, queries = search(images), images[2] + 0.25
    np.testing.assert_array_equal(
        ours.predict_proba(queries), ours.to_scikit_learn().predict_proba(queries)
    )


@pytest.mark.parametrize(
    "options",
    [
        {"n_neighbors": 65},
        {"n_neighbors": 101},
        {"metric": "cosine"},
        {"p": 1},
        {"weights": np.ones_like},
    ],
)
def test_unsupported_parameters_are_left_to_scikit_learn(options: dict[str, Any]) -> None:
    assert not can_search(KNeighborsClassifier(algorithm="brute", **options), 100, 784)
