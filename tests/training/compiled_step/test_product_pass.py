from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.nets.convolution import Convolution
from fittingroom.nets.stem import Stem
from fittingroom.training.compiled_step.maps import Maps
from fittingroom.training.compiled_step.plan import PlannedLayer, plan
from fittingroom.training.compiled_step.product_pass import ProductPass
from fittingroom.training.compiled_step.weights import PackedWeights

N = 3


def by_autograd(layer: PlannedLayer, x: Tensor, slopes: Tensor) -> list[Tensor]:
    """Outputs, and the gradients of the input, the weight and the bias; maps channels-last."""
    module = layer.module
    assert isinstance(module, nn.Conv2d | nn.Linear)
    x = x.clone().requires_grad_()
    if isinstance(module, nn.Linear):
        y = module(x.flatten(1))[:, None, None]
    else:
        y = module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    if layer.rectified:
        y = F.relu(y)
    assert module.bias is not None
    gradients = torch.autograd.grad(y, [x, module.weight, module.bias], slopes)
    return [y.detach(), *gradients]


def by_products(layers: list[PlannedLayer], number: int, x: Tensor, slopes: Tensor) -> list[Tensor]:
    layer, packed = layers[number], PackedWeights(layers)
    packed.refresh()
    weights = packed.layers[number]
    assert weights is not None
    assert layer.kernel is not None
    before, after = Maps(N, layer.input), Maps(N, layer.output)
    gradient = np.zeros(packed.size, np.float32)
    of_layer = ProductPass(layer, layer.kernel, weights, before, after, gradient)
    channels, outputs = layer.input.channels, layer.output.channels
    before.values[..., :channels] = x
    before.slopes[:] = 9  # is overwritten
    after.slopes[..., :outputs] = slopes
    of_layer.forward()
    of_layer.backward()
    of_weight, of_bias = weights.as_of_module(gradient)
    y, d = after.values[..., :outputs], before.slopes[..., :channels]
    return [torch.from_numpy(y), torch.from_numpy(d), of_weight, of_bias]


def network(inputs: int = 16, outputs: int = 20) -> list[nn.Module]:
    """Of images (11, 12): maps (4, 5) after the first layer, (2, 3) after the second."""
    torch.manual_seed(0)
    convolution, dense = Convolution(inputs, outputs, 3), nn.Linear(6 * outputs, 33)
    return [Stem(inputs), convolution, nn.ReLU(), dense, nn.Linear(33, 10)]


def random(layer: PlannedLayer) -> tuple[Tensor, Tensor]:
    """An input and slopes, channels-last."""
    generator = torch.Generator().manual_seed(0)
    x, y = (
        torch.randn(N, shape.height, shape.width, shape.channels, generator=generator)
        for shape in (layer.input, layer.output)
    )
    return x, y


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(("inputs", "outputs"), [(16, 20), (7, 33)])
def test_it_equals_autograd(number: int, inputs: int, outputs: int) -> None:
    """A convolution, a dense layer that sees a map, and one that sees a single pixel."""
    layers = plan(network(inputs, outputs), 11, 12)
    x, slopes = random(layers[number])
    expected = by_autograd(layers[number], x, slopes)
    for mine, other in zip(by_products(layers, number, x, slopes), expected, strict=True):
        torch.testing.assert_close(mine.reshape(other.shape), other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", [12, 14])
def test_pairs_differ_by_rounding_alone(width: int) -> None:
    """Of factors that are bfloat16 already, they are the same; rows of 3 and of 4 pixels."""
    modules = network()[:3]
    assert isinstance(modules[1], Convolution)
    modules[1].weight.data = modules[1].weight.data.bfloat16().float()
    layers = plan(modules, 11, width, half=True)
    assert layers[1].paired
    x, slopes = (maps.bfloat16().float() for maps in random(layers[1]))
    expected = by_autograd(layers[1], x, slopes)
    for mine, other in zip(by_products(layers, 1, x, slopes), expected, strict=True):
        torch.testing.assert_close(mine.reshape(other.shape), other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize("width", [28, 30])
def test_strides_and_padding(stride: int, padding: int, width: int, half: bool) -> None:
    """Maps of 4 rows and of 13 or 14 columns, of which a stride may leave the last unseen."""
    torch.manual_seed(0)
    convolution = Convolution(16, 20, 3, stride=stride, padding=padding)
    convolution.weight.data = convolution.weight.data.bfloat16().float()
    layers = plan([Stem(16), convolution, nn.ReLU()], 11, width, half=half)
    assert layers[1].paired == half
    x, slopes = (maps.bfloat16().float() for maps in random(layers[1]))
    expected = by_autograd(layers[1], x, slopes)
    for mine, other in zip(by_products(layers, 1, x, slopes), expected, strict=True):
        torch.testing.assert_close(mine.reshape(other.shape), other, rtol=1e-5, atol=1e-5)
