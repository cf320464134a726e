from __future__ import annotations

import torch
from torch import nn

from fittingroom.nets.mlp import MLP


def test_logits_have_one_column_per_class_for_any_shape() -> None:
    net = MLP((5, 7), 3, hidden=(4,))
    assert net(torch.rand(6, 1, 5, 7)).shape == (6, 3)


def test_relu_is_between_layers_and_not_after_the_last() -> None:
    net = MLP((1, 2), 2, hidden=(2,))
    first, last = net.layers[1], net.layers[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        last.weight.copy_(torch.tensor([[1.0, 5.0], [-2.0, 5.0]]))
    assert net(torch.tensor([[[[0.5, 0.25]]]])).tolist() == [[0.5, -1.0]]


def test_no_hidden_layer_is_softmax_regression() -> None:
    assert sum(p.numel() for p in MLP(hidden=()).parameters()) == 7850
