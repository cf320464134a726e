"""A network's weights as kernels take them, and where each of their elements is.

The forward vector holds of each layer its kernel (rows, columns, inputs, outputs), then its bias;
the backward vector its kernel (rows, columns, outputs, inputs). The last dimension is padded with
zeros to full vectors. Gradients are laid out as the forward vector. Kernels that are multiplied in
bfloat16 are at the same positions of two other vectors, int16, in pairs: (rows, columns,
inputs / 2, outputs, 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fittingroom.kernels.tensors import view
from fittingroom.training.compiled_step.arrays import Array, zeros
from fittingroom.training.compiled_step.plan import KernelShape, PlannedLayer


class LayerWeights(NamedTuple):
    """A layer's parts of the vectors."""

    kernel: Array  # (rows, columns, inputs, outputs padded), or as many numbers in pairs
    bias: Array  # (outputs padded,)
    backward: Array  # (rows, columns, outputs, inputs padded), or as many numbers in pairs
    position: int  # of the kernel in the forward vector

    def gradients(self, gradient: Array) -> tuple[Array, Array]:
        """The parts of a gradient: for the kernel, in float32, and for the bias."""
        after = self.position + self.kernel.size
        kernel = gradient[self.position : after].reshape(self.kernel.shape)
        return kernel, gradient[after : after + len(self.bias)]


class Positions(NamedTuple):
    """Where a weight's elements are, in their order, in a gradient and in the packed vectors."""

    gradient: Array
    forward: Array
    backward: Array
    paired: bool


class PackedWeights:
    """The vectors of a network's weights; ``fill`` reads them, an update keeps them."""

    def __init__(self, layers: Sequence[PlannedLayer]) -> None:
        self.weights: list[Tensor] = []
        self.positions: list[Positions] = []  # of each of them
        kernels = [layer.kernel for layer in layers if layer.kernel]
        size = sum(math.prod(kernel.forward) + kernel.lanes for kernel in kernels)
        # What has no place in the backward vector goes to its last element.
        self._last = sum(math.prod(kernel.backward) for kernel in kernels)
        #: Of a gradient. Rows that fill up a tile are written after its end (see `row_table`).
        self.size = size + max(kernel.lanes for kernel in kernels)
        self._single = zeros(size), zeros(self._last + 1)
        self._pairs = tuple(zeros(len(vector), dtype=torch.int16) for vector in self._single)
        self.layers: list[LayerWeights | None] = []  # None for one without weights
        forward = backward = 0
        for layer in layers:
            if layer.kernel is None:
                self.layers.append(None)
                continue
            self.layers.append(self._pack(layer, layer.kernel, forward, backward))
            forward += math.prod(layer.kernel.forward) + layer.kernel.lanes
            backward += math.prod(layer.kernel.backward)

    def _pack(
        self, layer: PlannedLayer, kernel: KernelShape, forward: int, backward: int
    ) -> LayerWeights:
        """Give a layer's weights the next positions of the forward and backward vectors."""
        module = layer.module
        assert isinstance(module, nn.Conv2d | nn.Linear)
        assert module.bias is not None
        at = _kernel_positions(layer, kernel, forward, backward)
        bias = forward + math.prod(kernel.forward)
        of_bias = (bias + np.arange(kernel.outputs)).astype(np.int32)
        nowhere = np.full_like(of_bias, self._last)
        self.weights += [module.weight.detach(), module.bias.detach()]
        self.positions += [at, Positions(of_bias, of_bias, nowhere, paired=False)]
        ahead, back = self.vectors(at)
        return LayerWeights(
            ahead[forward:bias].reshape(kernel.forward),
            self._single[0][bias : bias + kernel.lanes],
            back[backward:][: math.prod(kernel.backward)].reshape(kernel.backward),
            forward,
        )

    def vectors(self, positions: Positions) -> tuple[Array, Array]:
        """The forward and backward vector that a weight is in."""
        forward, backward = self._pairs if positions.paired else self._single
        return forward, backward

    def fill(self) -> None:
        """Read the weights anew."""
        for weight, positions in zip(self.weights, self.positions, strict=True):
            values = weight.reshape(-1)
            stored = view(values.bfloat16() if positions.paired else values)
            forward, backward = self.vectors(positions)
            forward[positions.forward] = stored
            backward[positions.backward] = stored


def _kernel_positions(
    layer: PlannedLayer, kernel: KernelShape, forward: int, backward: int
) -> Positions:
    """The positions of a kernel's elements, if it begins at these of the vectors."""
    of_gradient, of_forward = (
        _positions(forward, kernel.forward, paired)[:, :, : kernel.inputs, : kernel.outputs]
        for paired in (False, layer.paired)
    )
    of_backward = _positions(backward, kernel.backward, layer.paired)[..., : kernel.inputs]
    # A convolution's weight is (outputs, inputs, rows, columns), a dense layer's (outputs, rows ·
    # columns · inputs).
    order = (3, 0, 1, 2) if isinstance(layer.module, nn.Linear) else (3, 2, 0, 1)
    in_gradient, ahead, back = (
        positions.transpose(order).ravel().astype(np.int32)
        for positions in (of_gradient, of_forward, of_backward.swapaxes(2, 3))
    )
    return Positions(in_gradient, ahead, back, layer.paired)


def _positions(start: int, shape: tuple[int, int, int, int], paired: bool) -> Array:
    """Positions of a kernel's numbers (rows, columns, k, width); paired, of two successive k."""
    numbers = np.arange(math.prod(shape)) + start
    if not paired:
        return numbers.reshape(shape)
    rows, columns, k, width = shape
    pairs = numbers.reshape(rows, columns, k // 2, width, 2)
    return pairs.swapaxes(3, 4).reshape(shape)
