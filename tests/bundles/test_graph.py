"""graph.py: what is added computes what NumPy does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import softmax

from fittingroom.bundles.graph import Graph

Computed = Callable[..., np.ndarray]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.uint8).reshape(2, 3).T,
        np.arange(24.0).reshape(4, 6)[::2, 1::3],
        np.array(0.1, np.float32),
        np.array([], np.int64),
    ],
    ids=["transposed", "with gaps", "a number", "nothing"],
)
def test_a_constant_is_the_array_however_it_lies_in_memory(
    array: np.ndarray, computed: Computed
) -> None:
    graph = Graph()
    given = computed(graph, graph.add("Identity", array))
    np.testing.assert_array_equal(given, array)
    assert (given.dtype, given.shape) == (array.dtype, array.shape)


@pytest.mark.parametrize(("axis", "start", "stop"), [(0, 1, 3), (1, 0, 99), (2, 1, -1), (1, 3, 3)])
def test_a_slice_is_numpys(axis: int, start: int, stop: int, computed: Computed) -> None:
    x, graph = np.arange(60.0).reshape(3, 4, 5), Graph()
    chosen = tuple(slice(start, stop) if i == axis else slice(None) for i in range(3))
    given = computed(graph, graph.slice("x", axis, start, stop), x=x)
    np.testing.assert_array_equal(given, x[chosen])


def test_softmax_casts_and_several_results(computed: Computed) -> None:
    x, graph = np.array([[1.0, 3.0, 2.0], [900.0, 0.0, -900.0]]), Graph()
    np.testing.assert_allclose(computed(graph, graph.softmax("x"), x=x), softmax(x, axis=1))
    assert computed(graph, graph.cast("x", np.float32), x=x).dtype == np.float32
    values, places = graph.add_several("TopK", 2, "x", np.array([2]))
    np.testing.assert_array_equal(computed(graph, values, x=x), [[3, 2], [900, 0]])
    np.testing.assert_array_equal(computed(graph, places, x=x), [[1, 2], [0, 1]])


def test_the_size_counts_nodes_and_constants() -> None:
    graph = Graph()
    assert graph.size() == 0
    graph.add("Identity", np.zeros(10_000))
    once = graph.size()
    assert 80_000 < once < 80_200
    graph.add("Identity", "x")
    assert once < graph.size() < once + 100
