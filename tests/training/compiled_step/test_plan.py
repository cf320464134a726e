from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from fittingroom.nets.convolution import Convolution
from fittingroom.nets.pooling import MaxPool
from fittingroom.nets.stem import Stem
from fittingroom.training.compiled_step.plan import KernelShape, MapShape, plan, supports


def test_the_layers_of_a_network(modules: Sequence[nn.Module]) -> None:
    layers = plan(modules, 28, 28)
    assert [layer.output for layer in layers] == [
        MapShape(13, 13, 6, 6),
        MapShape(11, 11, 20, 32),
        MapShape(8, 8, 33, 48),  # pooling leaves out the ninth row and column
        MapShape(4, 4, 33, 48),
        MapShape(1, 1, 12, 16),
        MapShape(1, 1, 10, 16),
    ]
    assert [layer.input for layer in layers[1:]] == [layer.output for layer in layers[:-1]]
    assert [layer.rectified for layer in layers] == [False, True, False, False, True, False]
    # Forward and backward: 4 pixels of 26 × 26 for each pooled one, and so on.
    assert layers[0].multiplications == 3 * 26 * 26 * 9 * 6
    assert layers[3].multiplications == 0
    assert layers[4].multiplications == 3 * 4 * 4 * 33 * 12


def test_a_dense_layer_has_a_kernel_as_large_as_the_map(modules: Sequence[nn.Module]) -> None:
    layers = plan(modules, 28, 28)
    assert layers[1].kernel == KernelShape(rows=3, columns=3, inputs=6, step=6, outputs=20)
    assert layers[3].kernel is None
    dense = layers[4].kernel
    assert dense == KernelShape(rows=4, columns=4, inputs=33, step=48, outputs=12)
    assert dense.forward == (4, 4, 48, 16)
    assert dense.backward == (4, 4, 12, 48)


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize("side", [28, 30])
def test_a_convolution_may_have_a_stride_and_padding(stride: int, padding: int, side: int) -> None:
    convolution = Convolution(4, 5, 3, stride=stride, padding=padding)
    layer = plan([Stem(4), convolution], side, side)[1]
    _, _, height, width = convolution(torch.zeros(1, 4, side // 2 - 1, side // 2 - 1)).shape
    assert (layer.output.height, layer.output.width) == (height, width)
    assert (layer.stride, layer.padding) == (stride, padding)


def paired(modules: Sequence[nn.Module], *, half: bool = True) -> list[bool]:
    return [layer.paired for layer in plan(modules, 28, 28, half=half)]


def test_bfloat16_is_for_convolutions_of_many_channels(modules: Sequence[nn.Module]) -> None:
    """Of an even number of inputs and outputs, which make pairs; 33 don't."""
    wide = [Stem(16), Convolution(16, 20, 3), Convolution(20, 33, 3), nn.Linear(9 * 9 * 33, 10)]
    assert paired(wide) == [False, True, False, False]
    assert not any(paired(wide, half=False))
    assert paired(modules[:4]) == [False, False, False]


def test_bfloat16_is_for_dense_layers_but_the_last() -> None:
    """Of many inputs, be they pixels or channels, and many outputs."""
    dense = [nn.Linear(13 * 13 * 6, 32), nn.Linear(32, 16), nn.Linear(16, 14), nn.Linear(14, 32)]
    assert paired([Stem(6), *dense, nn.Linear(32, 10)]) == [False, True, True] + [False] * 3
    assert not any(paired([Stem(7), nn.Linear(13 * 13 * 7, 32), nn.Linear(32, 10)]))
    assert not any(paired([Stem(6), nn.Linear(13 * 13 * 6, 33), nn.Linear(33, 10)]))


def test_which_layers_a_plan_can_have() -> None:
    stem, relu = Stem(3), nn.ReLU()
    assert supports(stem, None)
    assert not supports(stem, relu)
    assert supports(Convolution(3, 4, 3), stem)
    assert supports(Convolution(3, 4, 3, stride=2, padding=1), stem)
    for changed in (
        Convolution(3, 4, 3, padding=(0, 1)),
        Convolution(3, 4, 3, padding="same"),
        Convolution(3, 4, 3, stride=(1, 2)),
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
