"""The layers whose kernels are their modules' own (`nets/`), forward and backward."""

from __future__ import annotations

import math

import numpy as np

from fittingroom.kernels.random import keep_threshold
from fittingroom.nets import dropout, pooling, stem
from fittingroom.training.compiled_step.arrays import Array, zeros
from fittingroom.training.compiled_step.maps import Maps
from fittingroom.training.compiled_step.weights import LayerWeights


class StemPass:
    """The first convolution, with its pooling and ReLU."""

    def __init__(self, weights: LayerWeights, x: Maps, y: Maps, gradient: Array) -> None:
        self._kernel, self._bias = weights.kernel[:, :, 0], weights.bias  # of the only channel
        kernel, bias = weights.gradients(gradient)
        self._gradients = kernel[None, :, :, 0], bias[None]  # of the only thread
        self._x, self._y, self._n = x.values[..., 0], y.values, x.n
        self._slopes = y.slopes[..., : y.shape.channels]
        self._places = np.empty(y.values.shape, np.uint8)

    def forward(self) -> None:
        images = 0, self._n, 0, self._x
        stem.convolve(*images, self._kernel, self._bias, self._y, self._places)

    def backward(self) -> None:
        stem.add_gradients(*(0, self._n, 0, self._x, self._slopes, self._places), *self._gradients)


class PoolPass:
    """Max-pooling, perhaps with ReLU."""

    def __init__(self, module: pooling.MaxPool, x: Maps, y: Maps) -> None:
        self._x, self._y = x, y
        self._floor = np.float32(0 if module.relu else -math.inf)
        self._places = np.empty(y.values.shape, np.uint8)

    def forward(self) -> None:
        x, y = self._x.values, self._y.values
        pooling.pool(0, len(x), 0, x, y, self._places, self._floor)

    def backward(self) -> None:
        g, d = self._y.slopes, self._x.slopes
        pooling.unpool(0, len(g), 0, g, self._places, d)


class DropoutPass:
    """Dropout of random numbers that ``seed`` sets before a forward pass."""

    def __init__(self, module: dropout.Dropout, x: Maps, y: Maps) -> None:
        self._x, self._y = x, y
        self._factors = zeros(*x.values.shape)
        self._levels, self._factor = keep_threshold(module.rate), np.float32(1 / (1 - module.rate))
        self._seed = np.uint32(0)

    def seed(self, seed: int, first: int) -> None:
        """Make each image's random numbers those of its place in the batch."""
        position = first * self._factors[0].size
        self._seed = np.uint32((seed + position) % 2**32)

    def forward(self) -> None:
        flat = self._factors.reshape(-1)
        dropout.draw(0, len(flat), 0, flat, self._seed, self._levels, self._factor)
        np.multiply(self._x.values, self._factors, out=self._y.values)

    def backward(self) -> None:
        np.multiply(self._y.slopes, self._factors, out=self._x.slopes)
