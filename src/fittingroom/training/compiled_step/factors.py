"""What the products of a layer multiply: its maps as they are, or rounded to pairs of bfloat16."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fittingroom.kernels.compiled import as_stored, compiled
from fittingroom.training.compiled_step.arrays import Array, zeros
from fittingroom.training.compiled_step.maps import Maps
from fittingroom.training.compiled_step.plan import PlannedLayer


class Factors:
    """Factors in float32: the maps themselves, if no padding surrounds them.

    Parameters
    ----------
    layer : that multiplies them
    x, y : the maps before and after it

    Attributes
    ----------
    inputs : (n, height, width, step) with the padding, multiplied by the kernel
    slopes : (n, height, width, lanes), multiplied by the kernel for the inputs' gradients
    pixels, pixel_slopes : the inputs and slopes again, multiplied by each other pixel by pixel for
        the kernel's gradient
    """

    paired = False
    inputs: Array
    slopes: Array
    pixels: Array
    pixel_slopes: Array

    def __init__(self, layer: PlannedLayer, x: Maps, y: Maps) -> None:
        self._x, self._padding = x, layer.padding
        self.inputs = self.pixels = _surrounded(x, self._padding) if self._padding else x.values
        self.slopes = self.pixel_slopes = y.slopes

    def read_values(self) -> None:
        """Take the values of a forward pass."""
        if self._padding:
            _store(self._x.values, self._padding, self.inputs)

    def read_slopes(self) -> None:
        """Take the slopes of a backward pass."""


class PairedFactors(Factors):
    """Factors in bfloat16, two in the place of one float32.

    ``inputs`` and ``slopes`` are pairs of successive channels, ``pixels`` and ``pixel_slopes`` of
    the same pixel of successive images, the last of an odd number of images with zeros. Successive
    pixels would be needed in two forms, since a kernel's columns begin at even and at odd ones.
    """

    paired = True

    def __init__(self, layer: PlannedLayer, x: Maps, y: Maps) -> None:
        self._x, self._y, self._padding = x, y, layer.padding
        self.inputs = _surrounded(x, self._padding, torch.int16)
        self.slopes = zeros(*y.slopes.shape, dtype=torch.int16)
        # (pairs of images, height, width, step or lanes)
        self.pixels, self.pixel_slopes = (
            zeros((len(single) + 1) // 2, *single.shape[1:], dtype=torch.int32)
            for single in (self.inputs, self.slopes)
        )

    def read_values(self) -> None:
        _store(self._x.values, self._padding, self.inputs)

    def read_slopes(self) -> None:
        _store(self._y.slopes, 0, self.slopes)
        for single, pairs in ((self.inputs, self.pixels), (self.slopes, self.pixel_slopes)):
            _pair(single.reshape(len(single), -1), pairs.reshape(len(pairs), -1))


def _surrounded(x: Maps, padding: int, dtype: torch.dtype = torch.float32) -> Array:
    """Zeros for maps with so many pixels around them."""
    height, width = (side + 2 * padding for side in (x.shape.height, x.shape.width))
    return zeros(x.n, height, width, x.shape.step, dtype=dtype)


@compiled
def _store(values: Any, padding: Any, stored: Any) -> None:
    """Float32 maps, perhaps to bfloat16 as int16 bits, inside others that the padding surrounds."""
    n, height, width, step = values.shape
    rows = values.reshape(n, height, width * step)
    into = stored.reshape(n, stored.shape[1], -1)
    for i in range(n):
        for r in range(height):
            row = rows[i, r]
            inside = into[i, r + padding, padding * step :]  # the same index in both: see `_pair`
            for k in range(len(row)):
                inside[k] = as_stored(row[k], inside[k])


@compiled
def _pair(single: Any, pairs: Any) -> None:
    """Pair the images 01, 23, … (n, numbers)."""
    for p in range(len(single) // 2):
        first, second, pair = single[2 * p], single[2 * p + 1], pairs[p]
        for k in range(len(pair)):  # not vectorised unless all have the same index
            low = np.int32(first[k]) & np.int32(0xFFFF)
            pair[k] = low | np.int32(np.int32(second[k]) << np.int32(16))
    if len(single) % 2:
        last, pair = single[-1], pairs[-1]
        for k in range(len(pair)):
            pair[k] = np.int32(last[k]) & np.int32(0xFFFF)
