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
    pixels that successive outputs see. There pixel p is paired with p + stride for every p, since a
    kernel's columns begin at even and at odd ones; slopes only for every other p, with a zero at
    the end of an odd row.
    """

    paired = True

    def __init__(self, layer: PlannedLayer, x: Maps, y: Maps) -> None:
        self._x, self._y, self._padding = x, y, layer.padding
        self._following = layer.stride * x.shape.step  # numbers from a pixel to its partner
        self.inputs = _surrounded(x, self._padding, torch.int16)
        self.slopes = zeros(*y.slopes.shape, dtype=torch.int16)
        self.pixels = zeros(*self.inputs.shape, dtype=torch.int32)
        # (n, height, pairs of a row, lanes)
        self.pixel_slopes = zeros(*y.slopes[:, :, ::2].shape, dtype=torch.int32)

    def read_values(self) -> None:
        _store(self._x.values, self._padding, self.inputs)

    def read_slopes(self) -> None:
        _store(self._y.slopes, 0, self.slopes)
        _pair_columns(self.slopes, self.pixel_slopes)
        _pair_pixels(self.inputs.reshape(-1), self._following, self.pixels.reshape(-1))


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
            for k in range(width * step):
                number = rows[i, r, k]
                into[i, r + padding, padding * step + k] = as_stored(number, into[i, r, k])


@compiled
def _pair_columns(rounded: Any, pairs: Any) -> None:
    """Pair the pixels 01, 23, … of each row (n, height, width, lanes)."""
    n, height, width, lanes = rounded.shape
    for i in range(n):
        for r in range(height):
            for c in range(0, width - 1, 2):
                for k in range(lanes):
                    low = np.int32(rounded[i, r, c, k]) & np.int32(0xFFFF)
                    high = np.int32(rounded[i, r, c + 1, k]) << np.int32(16)
                    pairs[i, r, c // 2, k] = low | np.int32(high)
            if width % 2:
                for k in range(lanes):
                    last = np.int32(rounded[i, r, width - 1, k])
                    pairs[i, r, width // 2, k] = last & np.int32(0xFFFF)


@compiled
def _pair_pixels(numbers: Any, distance: Any, pairs: Any) -> None:
    """Pair each number with the one at this distance; the last ones with zeros."""
    following = numbers[distance:]  # the same index in both, or the loop isn't vectorised
    for i in range(len(following)):
        low = np.int32(numbers[i]) & np.int32(0xFFFF)
        pairs[i] = low | np.int32(np.int32(following[i]) << np.int32(16))
    for i in range(len(following), len(numbers)):
        pairs[i] = np.int32(numbers[i]) & np.int32(0xFFFF)
