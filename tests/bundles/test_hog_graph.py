"""hog_graph.py: a graph's descriptors are scikit-image's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fittingroom.bundles.graph import Graph
from fittingroom.bundles.hog_graph import add_hog
from fittingroom.data.dataset import Dataset
from fittingroom.models.hog import HogFeatures


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cell": 7, "block": 2, "orientations": 8, "square_root": False},
        {"cell": 5, "block": 1, "orientations": 1},  # cells that leave pixels over
        {"cell": 8, "second_grid": False, "image_shape": (14, 56)},
        {"cell": 1, "block": 784, "orientations": 2, "image_shape": (1, 784)},
    ],
)
def test_descriptors_equal_scikit_images(
    options: dict[str, Any], small: Dataset, computed: Callable[..., np.ndarray]
) -> None:
    rows = small.test.images[:20].reshape(20, -1).astype(np.float32) / 255
    features = HogFeatures(**options).fit(rows)
    graph = Graph()
    given = computed(graph, add_hog(graph, "rows", features), rows=rows)
    np.testing.assert_allclose(given, features.transform(rows), atol=1e-6)


def test_rows_that_are_not_images_stay_as_they_are() -> None:
    graph = Graph()
    assert add_hog(graph, "rows", HogFeatures().fit(np.ones((2, 48)))) == "rows"
    assert graph.nodes == []
