"""Passes against their modules under autograd; maps are channels-last here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fittingroom.nets.dropout import Dropout
from fittingroom.nets.pooling import MaxPool
from fittingroom.nets.stem import Stem
from fittingroom.training.compiled_step.maps import Maps
from fittingroom.training.compiled_step.module_passes import DropoutPass, PoolPass, StemPass
from fittingroom.training.compiled_step.plan import MapShape, plan
from fittingroom.training.compiled_step.weights import PackedWeights


def channels_first(maps: np.ndarray) -> Tensor:
    return torch.from_numpy(maps.copy()).permute(0, 3, 1, 2)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_the_first_convolution() -> None:
    torch.manual_seed(0)
    stem = Stem(6)
    layers = plan([stem, nn.Linear(6 * 3 * 4, 10)], 9, 11)
    packed = PackedWeights(layers)
    packed.refresh()
    weights = packed.layers[0]
    assert weights is not None
    x, y = Maps(3, layers[0].input, trained=False), Maps(3, layers[0].output)
    gradient = np.zeros(packed.size, np.float32)
    of_layer = StemPass(weights, x, y, gradient)
    x.values[:] = random(*x.values.shape)
    y.slopes[..., :6] = random(*y.values.shape)
    of_layer.forward()
    of_layer.backward()
    maps = stem(channels_first(x.values))
    torch.testing.assert_close(channels_first(y.values), maps.detach())
    maps.backward(channels_first(y.slopes[..., :6]))
    for mine, weight in zip(weights.as_of_module(gradient), (stem.weight, stem.bias), strict=True):
        assert weight is not None
        torch.testing.assert_close(mine, weight.grad)


@pytest.mark.parametrize("relu", [False, True])
def test_pooling(relu: bool) -> None:
    module = MaxPool(relu=relu)
    x, y = Maps(3, MapShape(7, 6, 20, 32)), Maps(3, MapShape(3, 3, 20, 32))
    x.values[..., :20] = random(3, 7, 6, 20)
    y.slopes[..., :20] = random(3, 3, 3, 20)
    of_layer = PoolPass(module, x, y)
    of_layer.forward()
    of_layer.backward()
    before = channels_first(x.values[..., :20]).requires_grad_()
    after = module(before)
    after.backward(channels_first(y.slopes[..., :20]))
    assert torch.equal(channels_first(y.values[..., :20]), after.detach())
    assert before.grad is not None
    assert torch.equal(channels_first(x.slopes[..., :20]), before.grad)


def test_dropout_drops_the_same_forward_and_backward() -> None:
    x, y = (Maps(200, MapShape(1, 1, 32, 32)) for _ in range(2))
    x.values[:], y.slopes[:] = 1, 1
    of_layer = DropoutPass(Dropout(0.25), x, y)
    of_layer.seed(7, 0)
    of_layer.forward()
    of_layer.backward()
    assert set(np.unique(y.values)) == {np.float32(0), np.float32(1 / 0.75)}
    assert y.values.mean() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(x.slopes, y.values)


def test_dropout_of_an_image_depends_on_its_place_in_the_batch() -> None:
    def dropped(n: int, first: int) -> np.ndarray:
        x, y = (Maps(n, MapShape(1, 1, 32, 32)) for _ in range(2))
        x.values[:] = 1
        of_layer = DropoutPass(Dropout(0.5), x, y)
        of_layer.seed(7, first)
        of_layer.forward()
        return y.values

    np.testing.assert_array_equal(dropped(10, 0)[4:], dropped(6, 4))
    assert (dropped(6, 0) != dropped(6, 4)).any()
