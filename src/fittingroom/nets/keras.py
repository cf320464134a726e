"""Layers with Keras's defaults, which differ from PyTorch's in each of these points.

Kernels start Glorot uniform (Glorot and Bengio 2010, equation 16) and biases at zero; batch norm
has a momentum of 0.99 (in PyTorch's terms 0.01) and an epsilon of 1e-3.
"""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from fittingroom.nets.convolution import Convolution
from fittingroom.nets.normalization import BatchNorm
from fittingroom.nets.stem import Stem

Conv = TypeVar("Conv", bound=nn.Conv2d)


def dense(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def conv(inputs: int, outputs: int, *, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    """A 3 × 3 convolution; the fans of its initialisation include the kernel's area."""
    return _initialize(Convolution(inputs, outputs, 3, stride=stride, padding=padding))


def stem(outputs: int) -> Stem:
    """The same for single-channel images, with the pooling and ReLU that follow."""
    return _initialize(Stem(outputs))


def relu_norm_dropout(channels: int, rate: float) -> BatchNorm:
    """ReLU, batch norm and dropout for feature maps."""
    return BatchNorm(channels, relu="before", dropout=rate, eps=1e-3, momentum=0.01)


def batch_norm(features: int) -> nn.BatchNorm1d:
    return nn.BatchNorm1d(features, eps=1e-3, momentum=0.01)


def _initialize(layer: Conv) -> Conv:
    nn.init.xavier_uniform_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
