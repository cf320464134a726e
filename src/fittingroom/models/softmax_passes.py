"""Passes over images for `softmax_regression.py`, in blocks that stay in the cache.

A block is multiplied by the weights, its residuals are computed, and their product with the block
is added to the gradient, before the next one comes from memory. Numbers that aren't integers are
written as three digits of eight bits each (to 2⁻²³ of the largest), so that all large products are
of bytes, summed exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.kernels.byte_products import (
    PANEL,
    QUAD,
    STEP,
    A,
    B,
    ByteProduct,
    C,
    arrange,
    signed_rows,
)
from fittingroom.kernels.compiled import compiled, compiled_within, count_parts, in_parts
from fittingroom.kernels.products import multiply_bytes

#: Images of a block.
BLOCK = 512
#: So many blocks at most are summed in 32 bits: of products of 7 and 8 bits.
MAX_BLOCKS = 2**31 // (2**7 * 2**8) // BLOCK
_DIGITS = 3
_LARGEST = 127 * 2**16  # the largest number of three digits of -128..127, with room for rounding
_LANES = 64  # images whose softmax is computed together


class SoftmaxPasses:
    """Sums over images of what depends on their pixels, by all threads.

    Parameters
    ----------
    pixels : (n, pixels)
    codes : integers (n,), every class of 0..classes-1 present
    """

    def __init__(self, pixels: NDArray[np.uint8], codes: NDArray[np.int64]) -> None:
        n, n_pixels = pixels.shape
        self._codes, self._n_pixels, self._n_classes = codes, n_pixels, int(codes.max()) + 1
        self._n_blocks = -(-n // BLOCK)
        self._parts = count_parts(self._n_blocks, pixels.size)
        # Each block twice: panels of images for the forward pass, of pixels for the backward pass.
        quads, width = -(-n_pixels // QUAD), -(-n_pixels // PANEL)
        self._images = np.zeros((self._n_blocks, BLOCK // PANEL, quads, PANEL, QUAD), np.uint8)
        self._columns = np.zeros((self._n_blocks, width, BLOCK // QUAD, PANEL, QUAD), np.uint8)
        self._in_parts(self._arrange, self._n_blocks, pixels)
        self._totals = pixels.sum(axis=0, dtype=np.int64)

    def _arrange(self, start: int, stop: int, part: int, pixels: NDArray[np.uint8]) -> None:
        for block in range(start, stop):
            some = pixels[block * BLOCK : (block + 1) * BLOCK]
            by_image, by_pixel = arrange(some), arrange(some.T)
            self._images[block, : len(by_image)] = by_image
            self._columns[block, :, : by_pixel.shape[1]] = by_pixel

    def _in_parts(self, kernel: Callable[..., None], n: int, *arguments: Any) -> None:
        in_parts(kernel, n, n * BLOCK * self._n_pixels, *arguments)

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sums of products of two pixels (pixels, pixels), and of pixels (pixels,)."""
        width = self._columns.shape[1] * PANEL
        rows = len(signed_rows(self._n_pixels, 1))
        pixel = np.arange(rows) % width  # those that fill the last tile are any
        offsets = pixel // PANEL * self._columns[0, 0].nbytes + pixel % PANEL * QUAD
        signed = np.empty((self._parts, *self._columns.shape[1:]), np.int8)
        product = ByteProduct(
            signed, offsets, step=STEP, quads=BLOCK // QUAD, result_row=4 * width, adds=True
        )
        squares = np.zeros((self._n_pixels, self._n_pixels))
        for first in range(0, self._n_blocks, MAX_BLOCKS):
            some = self._columns[first : first + MAX_BLOCKS]
            sums = np.zeros((self._parts, rows, width), np.int32)
            self._in_parts(_correlate, len(some), product.fields, some, signed, sums)
            squares += sums.sum(axis=0, dtype=np.int64)[: self._n_pixels, : self._n_pixels]
        return squares + 128 * self._totals, self._totals.astype(np.float64)

    def evaluate(
        self, weights: NDArray[np.float64], offsets: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Sums of the log loss, of the residuals (classes,), of residuals × pixels.

        Parameters
        ----------
        weights, offsets : (classes, pixels) and (classes,): logits are pixels · weights + offsets

        Returns
        -------
        the last sum is (classes, pixels)
        """
        n_classes, width = self._n_classes, self._columns.shape[1] * PANEL
        digits, units = _to_digits(weights)
        row = np.arange(len(digits))
        residuals = np.zeros((self._parts, len(digits), BLOCK), np.int8)
        forward = ByteProduct(
            digits,
            row * digits.shape[1],
            step=QUAD,
            quads=self._images.shape[2],
            result_row=4 * BLOCK,
        )
        backward = ByteProduct(
            residuals,
            row * BLOCK,
            step=QUAD,
            quads=BLOCK // QUAD,
            result_row=4 * width,
            adds=True,
        )
        fields = np.stack([forward.fields, backward.fields])
        products = np.empty((self._parts, len(digits), BLOCK), np.int32)
        sums = np.zeros((self._parts, 1 + n_classes))
        gradient = np.zeros((n_classes, self._n_pixels))
        for first in range(0, self._n_blocks, MAX_BLOCKS):
            blocks = slice(first, first + MAX_BLOCKS)
            slopes = np.zeros((self._parts, len(digits), width), np.int32)
            some = self._images[blocks], self._columns[blocks]
            classes = self._codes[first * BLOCK :], units, offsets
            memory = products, residuals, slopes, sums
            self._in_parts(_add_blocks, len(some[0]), fields, *some, *classes, memory)
            total = slopes.sum(axis=0, dtype=np.int64)
            gradient += _from_digits(total[: _DIGITS * n_classes, : self._n_pixels]) / _LARGEST
        loss, *residual_sums = sums.sum(axis=0)
        return float(loss), np.array(residual_sums), gradient


def _to_digits(rows: NDArray[np.float64]) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Write rows of numbers as (digits × rows, columns), highest digits first, and units."""
    units = np.abs(rows).max(axis=1) / _LARGEST
    units[units == 0] = 1
    rest = np.rint(rows / units[:, None]).astype(np.int32)
    digits = []
    for _ in range(_DIGITS):
        digits.append(((rest + 128) & 255) - 128)
        rest = (rest - digits[-1]) >> 8
    found = signed_rows(_DIGITS * len(rows), rows.shape[1])
    found[: _DIGITS * len(rows), : rows.shape[1]] = np.concatenate(digits[::-1])
    return found, units


def _from_digits(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """The numbers (rows, columns) for sums over digits (digits × rows, columns)."""
    high, middle, low = np.split(sums.astype(np.float64), _DIGITS)
    return high * 2.0**16 + middle * 2.0**8 + low


@compiled
def _correlate(
    start: int, stop: int, part: int, fields: Any, columns: Any, signed: Any, sums: Any
) -> None:
    """Add to ``sums`` (parts, pixels, pixels) the products of pixels less 128 and pixels."""
    product, centred = fields.copy(), signed[part].reshape(-1)
    product[A] = centred.ctypes.data
    for block in range(start, stop):
        numbers = columns[block].reshape(-1)
        for i in range(len(numbers)):
            centred[i] = np.int8(np.int32(numbers[i]) - np.int32(128))
        for panel in range(columns.shape[1]):
            product[B] = columns[block, panel].ctypes.data
            product[C] = sums[part].ctypes.data + panel * 4 * PANEL
            multiply_bytes(product)


@compiled
def _add_blocks(
    start: int,
    stop: int,
    part: int,
    fields: Any,
    images: Any,
    columns: Any,
    codes: Any,
    units: Any,
    offsets: Any,
    memory: Any,
) -> None:
    """Add the loss, the residuals and their products with pixels of some blocks.

    Of what each thread has for itself, by part, products and residuals are those of a block; slopes
    (parts, digits × classes, pixels) and sums are added to.
    """
    products, residuals, slopes, sums = memory
    product, slope = fields[0].copy(), fields[1].copy()
    slope[A] = residuals[part].ctypes.data
    for block in range(start, stop):
        for panel in range(images.shape[1]):
            product[B] = images[block, panel].ctypes.data
            product[C] = products[part].ctypes.data + panel * 4 * PANEL
            multiply_bytes(product)
        some = codes[block * BLOCK : (block + 1) * BLOCK]
        _softmax(products[part], some, units, offsets, residuals[part], sums[part])
        for panel in range(columns.shape[1]):
            slope[B] = columns[block, panel].ctypes.data
            slope[C] = slopes[part].ctypes.data + panel * 4 * PANEL
            multiply_bytes(slope)


@compiled
def _softmax(
    products: Any, codes: Any, units: Any, offsets: Any, residuals: Any, sums: Any
) -> None:
    """Compute the log loss and the residuals p - y of a block's images, and their sums.

    Parameters
    ----------
    products : int32 (digits × classes, images)
    units, offsets : float64 (classes,), convert products to logits
    residuals : int8 (digits × classes, images), filled with p - y
    sums : float64 (1 + classes,), the loss and the sums of p - y are added to it
    """
    n_classes = len(units)
    logits = np.empty((n_classes, _LANES))
    top, total = np.empty(_LANES), np.empty(_LANES)
    for first in range(0, len(codes), _LANES):
        n = min(_LANES, len(codes) - first)
        top[:n] = -np.inf
        total[:n] = 0
        for c in range(n_classes):
            high = products[c, first : first + n]
            middle = products[n_classes + c, first : first + n]
            low = products[2 * n_classes + c, first : first + n]
            row = logits[c]
            for i in range(n):
                row[i] = (high[i] * 65536.0 + middle[i] * 256.0 + low[i]) * units[c] + offsets[c]
                top[i] = max(top[i], row[i])
        for i in range(n):
            sums[0] += top[i] - logits[codes[first + i], i]
        for c in range(n_classes):
            row = logits[c]
            for i in range(n):
                row[i] = _exp(row[i] - top[i])
                total[i] += row[i]
        for i in range(n):
            sums[0] += math.log(total[i])
            total[i] = 1 / total[i]
        for c in range(n_classes):
            row, summed = logits[c], 0.0
            high = residuals[c, first : first + n]
            middle = residuals[n_classes + c, first : first + n]
            low = residuals[2 * n_classes + c, first : first + n]
            labels = codes[first : first + n]
            for i in range(n):
                residual = row[i] * total[i] - (labels[i] == c)
                rest = np.int32(np.rint(residual * _LARGEST))
                summed += rest  # rounded as in the products, so that constants cancel
                digit = np.int32(((rest + np.int32(128)) & np.int32(255)) - np.int32(128))
                low[i] = digit
                rest = np.int32((rest - digit) >> np.int32(8))
                digit = np.int32(((rest + np.int32(128)) & np.int32(255)) - np.int32(128))
                middle[i] = digit
                high[i] = np.int32((rest - digit) >> np.int32(8))
            sums[1 + c] += summed / _LARGEST


@compiled_within
def _exp(x: Any) -> Any:
    """e to the power of x ≤ 0, to 1e-11; unlike loops over math.exp, loops over it vectorise."""
    x = max(x, -700.0)
    exponent = np.rint(x * 1.4426950408889634)
    r = x - exponent * 0.6931471805599453
    series = 1 + r / 9
    for k in (8, 7, 6, 5, 4, 3, 2, 1):
        series = 1 + r / k * series
    return series * np.int64(np.int64(exponent + 1023) << 52).view(np.float64)
