"""network_graph.py: a graph's probabilities are those of the network, for any batch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fittingroom.bundles.graph import Graph
from fittingroom.bundles.network_graph import add_network
from fittingroom.data.dataset import Dataset
from fittingroom.errors import BundleError
from fittingroom.nets.cnn import CNN


@pytest.fixture(scope="module")
def net() -> CNN:
    return CNN((28, 28), 10, features=(4, "pool"), hidden=(8,), dropout=(0.5,))


@pytest.fixture(scope="module")
def graph(net: CNN) -> Graph:
    graph = Graph()
    assert add_network(graph, "images", net.train(), (28, 28)) == "given"
    return graph


def test_a_graph_predicts_what_the_network_does(
    graph: Graph, net: CNN, small: Dataset, computed: Callable[..., np.ndarray]
) -> None:
    """Without dropout, even if the network was in training mode."""
    for n in (1, 2, 7):
        images = small.test.images[:n]
        with torch.no_grad():
            logits = net.eval()(torch.from_numpy(images.copy())[:, None].float() / 255)
        given = computed(graph, "given", images=images)
        np.testing.assert_allclose(given, logits.softmax(dim=1).numpy(), atol=1e-6)


def test_nothing_of_this_machine_is_in_the_graph(graph: Graph) -> None:
    """PyTorch's exporter records the source file of each operation."""
    data = b"".join(node.SerializeToString() for node in graph.nodes)
    assert b".py" not in data
    assert b"site-packages" not in data
    assert str(Path(__file__).parents[2]).encode() not in data


class Undecided(nn.Module):
    """What it computes depends on the images, which no graph can say."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2] if x.sum() > 0 else -x.flatten(1)[:, :2]


def test_a_network_that_cannot_be_exported() -> None:
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    with pytest.raises(BundleError, match="PyTorch can't export this network: ") as refused:
        add_network(Graph(), "images", Undecided(), (28, 28))
    assert "\n" not in str(refused.value)
    assert logger.level == level
