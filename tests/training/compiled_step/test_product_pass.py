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

#: Images: an odd number, and more than the maps have pixels.
NUMBERS = [3, 14]


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


def by_products(
    layers: list[PlannedLayer], number: int, x: Tensor, slopes: Tensor, *, trained: bool = True
) -> list[Tensor]:
    """The same, without the gradient of the input if nothing before is ``trained``."""
    layer, packed = layers[number], PackedWeights(layers)
    packed.refresh()
    weights = packed.layers[number]
    assert weights is not None
    assert layer.kernel is not None
    before = Maps(len(x), layer.input, trained=trained)
    after = Maps(len(x), layer.output)
    gradient = np.zeros(packed.size, np.float32)
    of_layer = ProductPass(layer, layer.kernel, weights, before, after, gradient)
    channels, outputs = layer.input.channels, layer.output.channels
    before.values[..., :channels] = x
    before.slopes[:] = 9  # is overwritten
    after.slopes[..., :outputs] = slopes
    of_layer.forward()
    of_layer.backward()
    of_weight, of_bias = weights.as_of_module(gradient)
    y, d = (
        torch.from_numpy(array)
        for array in (after.values[..., :outputs], before.slopes[..., :channels])
    )
    return [y, d, of_weight, of_bias] if trained else [y, of_weight, of_bias]


def network(inputs: int = 16, outputs: int = 20) -> list[nn.Module]:
    """Of images (11, 12): maps (4, 5) after the first layer, (2, 3) after the second."""
    torch.manual_seed(0)
    convolution, dense = Convolution(inputs, outputs, 3), nn.Linear(6 * outputs, 33)
    return [Stem(inputs), convolution, nn.ReLU(), dense, nn.Linear(33, 10)]


def random(layer: PlannedLayer, n: int = 3) -> tuple[Tensor, Tensor]:
    """An input and slopes, channels-last."""
    generator = torch.Generator().manual_seed(0)
    x, y = (
        torch.randn(n, shape.height, shape.width, shape.channels, generator=generator)
        for shape in (layer.input, layer.output)
    )
    return x, y


def rounded(modules: list[nn.Module]) -> list[nn.Module]:
    """The same with weights that are bfloat16 already: their products differ by nothing else."""
    for module in modules:
        for weight in module.parameters():
            weight.data = weight.data.bfloat16().float()
    return modules


def assert_equals_autograd(
    layers: list[PlannedLayer], number: int, x: Tensor, slopes: Tensor
) -> None:
    expected = by_autograd(layers[number], x, slopes)
    for mine, other in zip(by_products(layers, number, x, slopes), expected, strict=True):
        torch.testing.assert_close(mine.reshape(other.shape), other, rtol=1e-5, atol=3e-5)


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(("inputs", "outputs"), [(16, 20), (7, 33)])
def test_it_equals_autograd(number: int, inputs: int, outputs: int, n: int) -> None:
    """A convolution, a dense layer that sees a map, and one that sees a single pixel."""
    layers = plan(network(inputs, outputs), 11, 12)
    assert_equals_autograd(layers, number, *random(layers[number], n))


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("width", [12, 14])
def test_pairs_differ_by_rounding_alone(width: int, n: int) -> None:
    """Of factors that are bfloat16 already, they are the same; rows of 3 and of 4 pixels."""
    layers = plan(rounded(network()[:3]), 11, width, half=True)
    assert layers[1].paired
    assert_equals_autograd(layers, 1, *(maps.bfloat16().float() for maps in random(layers[1], n)))


@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("number", [1, 2])
def test_dense_layers_in_pairs(number: int, n: int) -> None:
    """One that sees a map, and one that sees a single pixel."""
    torch.manual_seed(0)
    dense = [nn.Linear(4 * 5 * 6, 32), nn.ReLU(), nn.Linear(32, 20), nn.Linear(20, 10)]
    layers = plan(rounded([Stem(6), *dense]), 11, 12, half=True)
    assert layers[number].paired
    x, slopes = (maps.bfloat16().float() for maps in random(layers[number], n))
    if layers[number].rectified:
        slopes = slopes.abs()
    assert_equals_autograd(layers, number, x, slopes)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize("width", [28, 30])
@pytest.mark.parametrize("n", [3, 30])
def test_strides_and_padding(stride: int, padding: int, width: int, half: bool, n: int) -> None:
    """Maps of 4 rows and of 13 or 14 columns, of which a stride may leave the last unseen."""
    torch.manual_seed(0)
    convolution = Convolution(16, 20, 3, stride=stride, padding=padding)
    layers = plan(rounded([Stem(16), convolution, nn.ReLU()]), 11, width, half=half)
    assert layers[1].paired == half
    assert_equals_autograd(layers, 1, *(maps.bfloat16().float() for maps in random(layers[1], n)))


@pytest.mark.parametrize("n", [3, 400])
def test_a_dense_layer_may_see_the_images(n: int) -> None:
    """Whose slopes nobody needs."""
    torch.manual_seed(0)
    layers = plan([nn.Linear(9 * 11, 20), nn.ReLU(), nn.Linear(20, 10)], 9, 11)
    x, slopes = random(layers[0], n)
    y, _, *gradients = by_autograd(layers[0], x, slopes)
    mine = by_products(layers, 0, x, slopes, trained=False)
    for found, expected in zip(mine, [y, *gradients], strict=True):
        torch.testing.assert_close(found.reshape(expected.shape), expected, rtol=1e-5, atol=3e-5)
