from __future__ import annotations

import math

import torch

from fittingroom.nets import keras


def test_dense_starts_glorot_uniform_with_zero_bias() -> None:
    layer = keras.dense(300, 100)
    limit = math.sqrt(6 / 400)
    assert 0.98 * limit < layer.weight.abs().max() <= limit
    assert abs(layer.weight.std() - limit / math.sqrt(3)) < 0.01 * limit
    assert not layer.bias.any()


def test_conv_fans_count_the_kernel_area() -> None:
    layer = keras.conv(16, 32)
    limit = math.sqrt(6 / (9 * (16 + 32)))
    assert 0.98 * limit < layer.weight.abs().max() <= limit
    assert layer.bias is not None
    assert not layer.bias.any()


def test_batch_norm_has_kerass_constants() -> None:
    for norm in (keras.batch_norm(4), keras.relu_norm_dropout(4, 0.2)):
        assert (norm.eps, norm.momentum) == (1e-3, 0.01)
    x = torch.full((8, 4), 3.0)
    norm = keras.batch_norm(4)
    norm(x)
    assert norm.running_mean is not None
    assert torch.allclose(norm.running_mean, torch.full((4,), 0.03))
