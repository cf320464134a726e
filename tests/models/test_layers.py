from __future__ import annotations

import pytest

from fittingroom.errors import UnknownNameError
from fittingroom.models.catalog import MODELS
from fittingroom.models.layers import layers_of
from fittingroom.models.making import make_classifier

NETWORKS = [name for name, row in MODELS.items() if row.family == "network"]


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_have_all_parameters_and_end_in_the_classes(name: str) -> None:
    network = make_classifier(name)
    layers = layers_of(network.net, network.net_options or {}, (28, 28), 10)
    assert sum(layer.parameters for layer in layers) == MODELS[name].parameters
    assert layers[-1].output_shape == (10,)


def test_shapes_are_those_of_one_image_in_order_of_execution() -> None:
    layers = layers_of("cnn", {"features": (32, "pool", 64), "hidden": (16,)}, (28, 20), 3)
    assert [(layer.kind, layer.output_shape) for layer in layers][:3] == [
        ("Stem", (32, 13, 9)),
        ("Convolution", (64, 11, 7)),
        ("ReLU", (64, 11, 7)),
    ]
    assert layers[1].parameters == 64 * (32 * 9 + 1)


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown network 'snn'"):
        layers_of("snn", {}, (28, 28), 10)
