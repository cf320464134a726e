from __future__ import annotations

import numpy as np
import torch
from torch import nn

from fittingroom.nets.cnn import CNN
from fittingroom.nets.convolution import Convolution
from fittingroom.nets.pooling import MaxPool
from fittingroom.nets.stem import Stem
from fittingroom.training.layers import MapShape, Packed, Pass, chain, supports


def modules() -> list[nn.Module]:
    torch.manual_seed(0)
    net = CNN(features=(6, "pool", 20, 33, "pool"), hidden=(12,))
    return [*net.features, *net.classifier]


def test_the_layers_of_a_network() -> None:
    layers = chain(modules(), 28, 28)
    assert [layer.output for layer in layers] == [
        MapShape(13, 13, 6, 6),
        MapShape(11, 11, 20, 32),
        MapShape(9, 9, 33, 48),
        MapShape(4, 4, 33, 48),
        MapShape(1, 1, 12, 16),
        MapShape(1, 1, 10, 16),
    ]
    assert [layer.rectified for layer in layers] == [False, True, False, False, True, False]
    # Forward and backward: 4 pixels of 26 × 26 for each pooled one, and so on.
    assert layers[0].multiplications == 3 * 26 * 26 * 9 * 6
    assert layers[4].multiplications == 3 * 4 * 4 * 33 * 12


def test_a_dense_layer_and_a_convolution_are_packed_alike() -> None:
    layers = chain(modules(), 28, 28)
    packed = Packed(layers)
    packed.fill()
    dense, convolution = layers[4], layers[1]
    assert dense.block is not None
    assert convolution.block is not None
    lanes, block = 32, convolution.block
    kernel = packed.forward[block.kernel : block.bias].reshape(3, 3, 6, lanes)
    weight = convolution.module.weight.detach().permute(2, 3, 1, 0)  # type: ignore[operator]
    np.testing.assert_array_equal(kernel[..., :20], weight.numpy())
    assert not kernel[..., 20:].any()
    turned = packed.backward[block.backward :][: 9 * 20 * 16].reshape(3, 3, 20, 16)
    np.testing.assert_array_equal(turned[..., :6], weight.numpy().swapaxes(2, 3))
    lanes, block = 16, dense.block
    kernel = packed.forward[block.kernel : block.bias].reshape(4, 4, 48, lanes)
    weight = dense.module.weight.detach().view(12, 4, 4, 33).permute(1, 2, 3, 0)  # type: ignore[operator]
    np.testing.assert_array_equal(kernel[:, :, :33, :12], weight.numpy())
    assert not kernel[:, :, 33:].any()


def test_a_pass_adds_to_the_gradient() -> None:
    layers = chain(modules(), 28, 28)
    packed = Packed(layers)
    packed.fill()
    images = torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(0)).numpy()
    targets = np.eye(10, dtype=np.float32)[[1, 5, 5]]
    gradient = np.zeros(packed.size, np.float32)
    run = Pass(layers, 3, packed, gradient)
    logits = run.forward(images, [], 0).copy()
    run.backward(targets, 1.0)
    once = gradient.copy()
    assert once.any()
    np.testing.assert_array_equal(run.forward(images, [], 0), logits)
    run.backward(targets, 1.0)
    np.testing.assert_allclose(gradient, 2 * once, rtol=1e-4, atol=1e-5)


def test_which_layers_a_pass_can_have() -> None:
    stem, relu = Stem(3), nn.ReLU()
    assert supports(stem, None)
    assert not supports(stem, relu)
    assert supports(Convolution(3, 4, 3), stem)
    for changed in (
        Convolution(3, 4, 3, padding=1),
        Convolution(3, 4, 3, stride=2),
        Convolution(3, 3, 3, groups=3),
        Convolution(3, 4, 5),
        Convolution(3, 4, 3, bias=False),
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm1d(3),
    ):
        assert not supports(changed, stem)
    assert supports(relu, nn.Linear(3, 4))
    assert not supports(relu, MaxPool())
    assert supports(MaxPool(), Convolution(3, 4, 3))
    assert not supports(MaxPool(), stem)
    assert not supports(nn.Linear(3, 4), None)
    assert not supports(nn.Linear(3, 4, bias=False), relu)
