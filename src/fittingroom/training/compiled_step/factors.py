"""What the products of a layer multiply: its maps as they are, or rounded to pairs of bfloat16."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fittingroom.kernels.compiled import as_stored, compiled
from fittingroom.training.compiled_step.arrays import Array, zeros
from fittingroom.training.compiled_step.maps import Maps


class Factors:
    """Factors in float32: the maps themselves.

    Attributes
    ----------
    inputs : (n, height, width, step), multiplied by the kernel
    slopes : (n, height, width, lanes), multiplied by the kernel for the inputs' gradients
    pixels, pixel_slopes : the inputs and slopes again, multiplied by each other pixel by pixel for
        the kernel's gradient
    """

    paired = False
    inputs: Array
    slopes: Array
    pixels: Array
    pixel_slopes: Array

    def __init__(self, x: Maps, y: Maps) -> None:
        self.inputs = self.pixels = x.values
        self.slopes = self.pixel_slopes = y.slopes

    def read_values(self) -> None:
        """Take the values of a forward pass."""

    def read_slopes(self) -> None:
        """Take the slopes of a backward pass."""


class PairedFactors(Factors):
    """Factors in bfloat16, two in the place of one float32.

    ``inputs`` and ``slopes`` are pairs of successive channels, ``pixels`` and ``pixel_slopes`` of
    successive pixels. There pixel p is paired with p + 1 for every p, since a kernel's columns
    begin at even and at odd ones; slopes only for every other p, with a zero at the end of an odd
    row.
    """

    paired = True

    def __init__(self, x: Maps, y: Maps) -> None:
        self._x, self._y = x, y
        self.inputs = zeros(*x.values.shape, dtype=torch.int16)
        self.slopes = zeros(*y.slopes.shape, dtype=torch.int16)
        self.pixels = zeros(*x.values.shape, dtype=torch.int32)
        # (n, height, pairs of a row, lanes)
        self.pixel_slopes = zeros(*y.slopes[:, :, ::2].shape, dtype=torch.int32)

    def read_values(self) -> None:
        _round(self._x.values.reshape(-1), self.inputs.reshape(-1))

    def read_slopes(self) -> None:
        _round(self._y.slopes.reshape(-1), self.slopes.reshape(-1))
        _pair_columns(self.slopes, self.pixel_slopes)
        _pair_pixels(self.inputs.reshape(-1), self._x.shape.step, self.pixels.reshape(-1))


@compiled
def _round(values: Any, rounded: Any) -> None:
    """Float32 to bfloat16, as int16 bits."""
    for i in range(len(values)):
        rounded[i] = as_stored(values[i], rounded[i])


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
def _pair_pixels(pixels: Any, step: Any, pairs: Any) -> None:
    """Pair the pixels 01, 12, 23, …, each of ``step`` numbers; the last one with zeros."""
    following = pixels[step:]  # the same index in both, or the loop isn't vectorised
    for i in range(len(following)):
        low = np.int32(pixels[i]) & np.int32(0xFFFF)
        pairs[i] = low | np.int32(np.int32(following[i]) << np.int32(16))
    for i in range(len(following), len(pixels)):
        pairs[i] = np.int32(pixels[i]) & np.int32(0xFFFF)
