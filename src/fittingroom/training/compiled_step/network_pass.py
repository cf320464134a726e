"""Some images' way through all layers of a network, and back from the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from fittingroom.kernels.compiled import compiled
from fittingroom.nets.dropout import Dropout
from fittingroom.nets.pooling import MaxPool
from fittingroom.nets.stem import Stem
from fittingroom.training.compiled_step.arrays import Array
from fittingroom.training.compiled_step.maps import Maps
from fittingroom.training.compiled_step.module_passes import DropoutPass, PoolPass, StemPass
from fittingroom.training.compiled_step.plan import PlannedLayer
from fittingroom.training.compiled_step.product_pass import ProductPass
from fittingroom.training.compiled_step.weights import LayerWeights, PackedWeights


class LayerPass(Protocol):
    """A layer: its values from those before it; then its gradients and the slopes before it."""

    def forward(self) -> None: ...

    def backward(self) -> None: ...


class NetworkPass:
    """A number of images' way.

    Parameters
    ----------
    layers : of the network, the last of them dense
    n : images
    packed : the weights
    gradient : float32 (packed.size,), to which ``backward`` adds
    """

    def __init__(
        self, layers: Sequence[PlannedLayer], n: int, packed: PackedWeights, gradient: Array
    ) -> None:
        x = Maps(n, layers[0].input, trained=False)
        self._images = x.values
        self._layers: list[LayerPass] = []
        for layer, weights in zip(layers, packed.layers, strict=True):
            y = Maps(n, layer.output)
            self._layers.append(_layer_pass(layer, weights, x, y, gradient))
            x = y
        self._dropouts = [layer for layer in self._layers if isinstance(layer, DropoutPass)]
        self._logits, self._slopes = (maps.reshape(n, -1) for maps in (x.values, x.slopes))

    def forward(self, images: Array, seeds: Sequence[int], first: int) -> Array:
        """Logits (n, classes padded) of images (n, height, width).

        ``seeds`` are those of the dropout layers, ``first`` is the place of the first image in its
        batch.
        """
        self._images.reshape(images.shape)[:] = images
        for dropout, seed in zip(self._dropouts, seeds, strict=True):
            dropout.seed(seed, first)
        for layer in self._layers:
            layer.forward()
        return self._logits

    def backward(self, targets: Array, scale: float) -> None:
        """Add the gradient of `scale` times the sum of cross-entropies to targets (n, classes)."""
        _softmax_slopes(self._logits, targets, np.float32(scale), self._slopes)
        for layer in reversed(self._layers):
            layer.backward()


def _layer_pass(
    layer: PlannedLayer, weights: LayerWeights | None, x: Maps, y: Maps, gradient: Array
) -> LayerPass:
    if weights is None or layer.kernel is None:
        if isinstance(layer.module, MaxPool):
            return PoolPass(layer.module, x, y)
        assert isinstance(layer.module, Dropout)
        return DropoutPass(layer.module, x, y)
    if isinstance(layer.module, Stem):
        return StemPass(weights, x, y, gradient)
    return ProductPass(layer, layer.kernel, weights, x, y, gradient)


@compiled
def _softmax_slopes(logits: Any, targets: Any, scale: Any, slopes: Any) -> None:
    """slopes = scale · (softmax(logits) - targets), for the classes that targets have."""
    n, classes = targets.shape
    for i in range(n):
        largest = logits[i, 0]
        for k in range(classes):
            largest = max(largest, logits[i, k])
        total = np.float32(0)
        for k in range(classes):
            slopes[i, k] = np.exp(logits[i, k] - largest)
            total += slopes[i, k]
        for k in range(classes):
            slopes[i, k] = scale * (slopes[i, k] / total - targets[i, k])
