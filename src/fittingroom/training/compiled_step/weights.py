"""A network's weights as kernels take them.

One vector holds of each layer its kernel (rows, columns, inputs, outputs), then its bias; the last
dimension is padded with zeros to full vectors of the processor. Gradients, and what an optimiser
keeps, are laid out alike, so that an update is one pass over vectors. It changes this vector alone:
the network's own weights are written when somebody is going to read them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fittingroom.kernels.compiled import as_stored, compiled, compiled_within
from fittingroom.kernels.products import LANES
from fittingroom.training.compiled_step.arrays import Array, zeros
from fittingroom.training.compiled_step.plan import KernelShape, PlannedLayer


class LayerWeights:
    """A layer's weights: its parts of the vector, and copies in other orders.

    Parameters
    ----------
    layer : the planned layer, and ``shape``, its kernel's shape
    vector : of all weights, float32
    position : where the kernel begins in it
    trained_before : whether layers before this one have weights

    Attributes
    ----------
    kernel : what is multiplied forward, (rows, columns, inputs, outputs padded); of a paired layer
        a copy in bfloat16, int32 (rows, columns, inputs / 2, outputs padded)
    bias : (outputs padded,)
    backward : what is multiplied backward, a copy (rows, columns, outputs, inputs padded); of a
        paired layer int32 (rows, columns, outputs / 2, inputs padded); empty if no layer before
        this one is trained
    """

    def __init__(
        self,
        layer: PlannedLayer,
        shape: KernelShape,
        vector: Array,
        position: int,
        *,
        trained_before: bool,
    ) -> None:
        module = layer.module
        assert isinstance(module, nn.Conv2d | nn.Linear)
        assert module.bias is not None
        self._shape, self._paired = shape, layer.paired
        self.position, self._end = position, position + math.prod(shape.forward)
        self._values = vector[position : self._end].reshape(shape.forward)
        self.bias = vector[self._end :][: shape.lanes]
        self.kernel = self._values
        backward = shape.backward if trained_before else (0, 0, 0, 0)
        if layer.paired:
            rows, columns, inputs, lanes = shape.forward
            self.kernel = zeros(rows, columns, inputs // 2, lanes, dtype=torch.int32)
            rows, columns, outputs, lanes = backward
            self.backward = zeros(rows, columns, outputs // 2, lanes, dtype=torch.int32)
        else:
            self.backward = zeros(*backward)
        self._module = module.weight.detach(), module.bias.detach()
        # A convolution's weight is (outputs, inputs, rows, columns), a dense layer's (outputs,
        # rows · columns · inputs).
        self._order = (3, 0, 1, 2) if isinstance(module, nn.Linear) else (3, 2, 0, 1)
        self._packed = self.as_of_module(vector)

    @property
    def n_rows(self) -> int:
        """The kernel's rows of outputs."""
        return math.prod(self._shape.forward[:3])

    def elements(self, first: int, last: int) -> slice:
        """Where these rows of the kernel are in the vector, with the bias after the last one."""
        lanes = self._shape.lanes
        after = lanes if last == self.n_rows else 0
        return slice(self.position + first * lanes, self.position + last * lanes + after)

    def gradients(self, gradient: Array) -> tuple[Array, Array]:
        """The parts of a gradient: for the kernel, and for the bias."""
        kernel = gradient[self.position : self._end].reshape(self._shape.forward)
        return kernel, gradient[self._end :][: self._shape.lanes]

    def as_of_module(self, vector: Array) -> tuple[Tensor, Tensor]:
        """The parts of a vector, as the module has its weight and its bias.

        A dense layer's weight is (outputs, rows, columns, inputs) here.
        """
        kernel, bias = map(torch.from_numpy, self.gradients(vector))
        inner = kernel[:, :, : self._shape.inputs, : self._shape.outputs]
        return inner.permute(self._order), bias[: self._shape.outputs]

    def read(self) -> None:
        """Take the weights of the module."""
        for tensor, packed in zip(self._module, self._packed, strict=True):
            packed.copy_(tensor.view(packed.shape))
        self.copy(0, self.n_rows)

    def write(self) -> None:
        """Give the module these weights."""
        for tensor, packed in zip(self._module, self._packed, strict=True):
            tensor.view(packed.shape).copy_(packed)

    def copy(self, first: int, last: int) -> None:
        """Bring the copies of these rows up to date; the bounds of a paired layer are even."""
        rows = self._values.reshape(-1, self._shape.lanes)
        if self._paired:
            pairs = self.kernel.reshape(-1, self._shape.lanes)
            _pair_rows(rows[first:last], pairs[first // 2 : last // 2])
        if self.backward.size:
            swap = _swap_pairs if self._paired else _swap
            rows_of_position = self._shape.step
            backward = self.backward.reshape(-1, *self.backward.shape[2:])
            swap(rows, backward, rows_of_position, self._shape.inputs, first, last)


class PackedWeights:
    """The weights of a network.

    Attributes
    ----------
    vector : float32 (size,)
    layers : of each layer its weights, or None
    """

    def __init__(self, layers: Sequence[PlannedLayer]) -> None:
        kernels = [layer.kernel for layer in layers if layer.kernel]
        # A gradient has as many, and room for rows that fill up a tile (see `row_table`).
        self.size = sum(math.prod(kernel.forward) + kernel.lanes for kernel in kernels)
        self.size += max(kernel.lanes for kernel in kernels)
        self.vector = zeros(self.size)
        self.layers: list[LayerWeights | None] = []
        position = 0
        for layer in layers:
            if layer.kernel is None:
                self.layers.append(None)
                continue
            trained_before = position > 0
            self.layers.append(
                LayerWeights(
                    layer, layer.kernel, self.vector, position, trained_before=trained_before
                )
            )
            position += math.prod(layer.kernel.forward) + layer.kernel.lanes
        modules = [layer.module for layer in layers]
        self._weights: list[Tensor] = [w for module in modules for w in module.parameters()]
        self._versions: list[int] = []

    def refresh(self) -> None:
        """Read the network's weights, if something else has changed them."""
        if self._versions != self._current_versions():
            for layer in filter(None, self.layers):
                layer.read()
            self._versions = self._current_versions()

    def write(self) -> None:
        """Write the network's weights."""
        if self._versions:
            for layer in filter(None, self.layers):
                layer.write()
            self._versions = self._current_versions()

    def _current_versions(self) -> list[int]:
        return [weight._version for weight in self._weights]


@compiled_within
def _pair(low: Any, high: Any, like: Any) -> Any:
    """Two numbers, rounded to bfloat16, in an int32."""
    low, high = as_stored(low, like), as_stored(high, like)
    return (np.int32(low) & np.int32(0xFFFF)) | np.int32(np.int32(high) << np.int32(16))


@compiled
def _pair_rows(rows: Any, pairs: Any) -> None:
    """Pair the rows 01, 23, … (n, width)."""
    for k in range(len(pairs)):
        for o in range(pairs.shape[1]):
            pairs[k, o] = _pair(rows[2 * k, o], rows[2 * k + 1, o], pairs[k, o])


@compiled
def _swap(rows: Any, swapped: Any, n: Any, inputs: Any, first: Any, last: Any) -> None:
    """Swap inputs and outputs of the rows from ``first`` to ``last``.

    Each position of the kernel has n rows of which the first ``inputs`` are swapped.
    """
    for position in range(first // n, (last + n - 1) // n):
        start = position * n
        end = min(last, start + inputs)
        for block in range(max(first, start), end, LANES):  # of rows that stay in the cache
            for o in range(swapped.shape[1]):
                for q in range(block, min(block + LANES, end)):
                    swapped[position, o, q - start] = rows[q, o]


@compiled
def _swap_pairs(rows: Any, swapped: Any, n: Any, inputs: Any, first: Any, last: Any) -> None:
    """The same in pairs of successive outputs."""
    for position in range(first // n, (last + n - 1) // n):
        start = position * n
        end = min(last, start + inputs)
        for block in range(max(first, start), end, LANES):
            for o in range(swapped.shape[1]):
                for q in range(block, min(block + LANES, end)):
                    pair = _pair(rows[q, 2 * o], rows[q, 2 * o + 1], swapped[position, o, 0])
                    swapped[position, o, q - start] = pair
