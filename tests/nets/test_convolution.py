"""The kernel gradients of convolutions against PyTorch's own in float32."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fittingroom.data.dataset import Dataset
from fittingroom.kernels import amx
from fittingroom.nets.convolution import Convolution, kernel_gradient

has_amx = pytest.mark.skipif(not amx.available(), reason="this processor has no AMX")


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def maps(n: int, channels: int, height: int, width: int) -> Tensor:
    values = torch.randn(n, channels, height, width).bfloat16()
    return values.contiguous(memory_format=torch.channels_last)


@has_amx
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("n", "inputs", "outputs", "sides", "size", "stride", "padding"),
    [
        (5, 16, 32, (14, 14), (3, 3), 1, (1, 1)),
        (70, 64, 128, (7, 7), (3, 3), 1, (1, 1)),
        (3, 32, 64, (13, 13), (3, 3), 1, (0, 0)),
        (4, 64, 128, (13, 13), (3, 3), 2, (1, 1)),
        (4, 16, 48, (14, 9), (3, 3), 2, (1, 1)),
        (9, 128, 64, (3, 3), (3, 3), 2, (1, 1)),
        (2, 17, 10, (9, 12), (3, 3), 1, (0, 1)),
        (3, 24, 100, (6, 5), (5, 3), 1, (2, 1)),
        (3, 32, 64, (8, 8), (1, 1), 2, (0, 0)),
        (1, 40, 13, (4, 4), (3, 3), 3, (1, 1)),
    ],
)
def test_gradients_equal_the_plain_layers(
    n: int,
    inputs: int,
    outputs: int,
    sides: tuple[int, int],
    size: tuple[int, int],
    stride: int,
    padding: tuple[int, int],
    threads: int,
) -> None:
    x = maps(n, inputs, *sides)
    plain = nn.Conv2d(inputs, outputs, size, stride=stride, padding=padding)
    y = plain(x.float())
    g = maps(*y.shape)
    y.backward(g.float())
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        kernel, bias = kernel_gradient(x, g, size, stride, padding, True)
    finally:
        torch.set_num_threads(before)
    # Products of bfloat16 numbers are exact, and both sum in float32.
    assert plain.weight.grad is not None
    assert plain.bias is not None
    torch.testing.assert_close(kernel, plain.weight.grad, rtol=1e-4, atol=2e-4)
    torch.testing.assert_close(bias, plain.bias.grad, rtol=1e-4, atol=2e-4)


@has_amx
def test_a_layer_in_bfloat16_equals_the_plain_layer(small: Dataset) -> None:
    layer = Convolution(16, 32, 3, padding=1)
    plain = nn.Conv2d(16, 32, 3, padding=1)
    plain.load_state_dict(copy.deepcopy(layer.state_dict()))
    images = torch.from_numpy(small.train.images[:64].copy()).float() / 255
    patches = images.reshape(64, 2, 14, 2, 14).permute(0, 1, 3, 2, 4).reshape(64, 4, 14, 14)
    x = patches.repeat(1, 4, 1, 1).contiguous(memory_format=torch.channels_last)
    results: list[list[Tensor]] = []
    for module in (layer, plain):
        with torch.autocast("cpu", torch.bfloat16):
            leaf = x.clone().requires_grad_()
            y = module(leaf)
            y.float().square().sum().backward()
        assert module.bias is not None
        gradients = [t.grad for t in (leaf, module.weight, module.bias) if t.grad is not None]
        results.append([y, *gradients])
    names = ("output", "gradient of the input", "of the kernel", "of the bias")
    for name, ours, theirs in zip(names, *results, strict=True):
        error = (ours.float() - theirs.float()).norm() / theirs.float().norm()
        assert error < 0.01, (name, error)  # theirs is rounded to bfloat16


@has_amx
def test_every_call_gives_the_same_bits() -> None:
    x, g = maps(40, 32, 14, 14), maps(40, 64, 14, 14)
    first, second = (kernel_gradient(x, g, (3, 3), 1, (1, 1), False)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("options", "half", "sides"),
    [
        ({"padding": 1}, False, (8, 8)),  # float32
        ({"padding": 1}, True, (40, 40)),  # large maps
        ({"padding": 1, "groups": 2}, True, (8, 8)),
        ({"padding": "same", "dilation": 2}, True, (8, 8)),
        ({"padding": 1, "padding_mode": "reflect"}, True, (8, 8)),
        ({"stride": (1, 2)}, True, (8, 8)),
    ],
)
def test_unsupported_inputs_use_the_plain_layer(
    options: dict[str, Any], half: bool, sides: tuple[int, int]
) -> None:
    layer = Convolution(16, 16, 3, **options)
    plain = nn.Conv2d(16, 16, 3, **options)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 16, *sides)
    for module in (layer, plain):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            module(x).float().square().sum().backward()
    assert layer.weight.grad is not None
    assert plain.weight.grad is not None
    assert torch.equal(layer.weight.grad, plain.weight.grad)


@has_amx
def test_a_frozen_input_and_a_second_backward_pass() -> None:
    layer = Convolution(16, 16, 3, bias=False)
    x = maps(2, 16, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        loss = layer(x).float().sum()
    loss.backward(retain_graph=True)
    assert layer.weight.grad is not None
    once = layer.weight.grad.clone()
    loss.backward()
    torch.testing.assert_close(layer.weight.grad, 2 * once)
