"""Convolutions whose kernel gradients use matrix instructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.kernels import amx
from fittingroom.kernels.amx import (
    COLUMNS,
    ROWS,
    configure,
    interleave,
    load,
    multiply,
    release,
    store,
    transpose,
)
from fittingroom.kernels.compiled import compiled, count_parts, in_parts
from fittingroom.kernels.tensors import can_compile, channels_last, view

#: Pixels of the gradient summed before a sum of products is written back to memory.
STRETCH = 512
#: Multiplications that take as long as a pass over an element in memory.
PRODUCTS = 2**9
#: On maps with more pixels or fewer channels, oneDNN's own gradient is as fast.
LARGE, NARROW = 200, 16


class Convolution(nn.Conv2d):
    """``nn.Conv2d`` with a faster backward pass in bfloat16 on CPUs with AMX.

    On small maps oneDNN takes three to five times as long for the kernel's gradient as for the
    forward pass. Here it is one long product per kernel position, of the transposed output gradient
    and the input: both are laid out with enough zeros between their rows that a kernel position is
    a shift along the whole image. Sums and the gradient are float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, h, w)`` to ``(batch, outputs, h', w')``."""
        if not self._can_use_amx(x):
            return super().forward(x)
        y: Tensor = _Convolve.apply(  # type: ignore[no-untyped-call]
            *(x, self.weight, self.bias, self.stride[0], self.padding)
        )
        return y

    def _can_use_amx(self, x: Tensor) -> bool:
        half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
        return (
            half == torch.bfloat16
            and can_compile(x)
            and torch.is_grad_enabled()
            and self.weight.requires_grad
            and self.in_channels >= NARROW
            and x.shape[2] * x.shape[3] <= LARGE * self.stride[0] * self.stride[1]
            and self.is_plain()
            and amx.available()
        )

    def is_plain(self) -> bool:
        return (
            self.groups == 1
            and self.stride[0] == self.stride[1]
            and isinstance(self.padding, tuple)
            and self.padding_mode == "zeros"
            and set(self.dilation) == {1}
        )


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: int,
        padding: tuple[int, int],
    ) -> Tensor:
        x = channels_last(x.to(torch.bfloat16))
        kernel = weight.to(torch.bfloat16, memory_format=torch.channels_last)
        ctx.save_for_backward(x, kernel)
        ctx.stride, ctx.padding, ctx.has_bias = stride, padding, bias is not None
        with torch.autocast("cpu", enabled=False):
            offset = None if bias is None else bias.to(torch.bfloat16)
            return F.conv2d(x, kernel, offset, stride, padding)

    @staticmethod
    def backward(
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, Tensor, Tensor | None, None, None]:
        x, kernel = ctx.saved_tensors
        g = channels_last(gradients[0])
        for_kernel, for_bias = kernel_gradient(
            x, g, kernel.shape[2:], ctx.stride, ctx.padding, ctx.has_bias
        )
        for_input = None
        if ctx.needs_input_grad[0]:
            sizes = [ctx.stride] * 2, ctx.padding, [1, 1]
            for_input, _, _ = torch.ops.aten.convolution_backward(
                *(g, x, kernel, None, *sizes, False, [0, 0], 1, [True, False, False])
            )
        return for_input, for_kernel, for_bias, None, None


def kernel_gradient(
    x: Tensor,
    g: Tensor,
    size: Sequence[int],
    stride: int,
    padding: Sequence[int],
    has_bias: bool,
) -> tuple[Tensor, Tensor | None]:
    """Gradients of a convolution's kernel (outputs, inputs, *size) and bias (outputs,), float32.

    Parameters
    ----------
    x : its input (n, inputs, h, w), bfloat16, channels-last
    g : the gradient of its output (n, outputs, h', w'), likewise
    size, stride, padding : of the kernel
    """
    n, inputs = x.shape[:2]
    outputs, rows, columns = g.shape[1:]
    # The memory layout is drawn above `_gradients`.
    down = _padded_side(x.shape[2], rows, size[0], stride, padding[0])
    across = _round_up(_padded_side(x.shape[3], columns, size[1], stride, padding[1]), 2)
    together = min(max(1, STRETCH // (down * across)), n)
    length = _round_up(together * down * across, COLUMNS)
    margin = _round_up(padding[1], 2)  # even, so that rows start with the first pixel of a pair
    # The largest shift, of the last kernel position: down by rows, to the right by pixels.
    reach = margin + (size[0] - 1) // stride * across + (size[1] - 1) // stride
    lanes = ROWS if inputs <= ROWS else _round_up(inputs, 2 * ROWS)  # one or two full tiles wide
    lines = _round_up(outputs, 2 * ROWS)
    work = size[0] * size[1] * g.numel() * inputs // PRODUCTS
    parts = count_parts(n, work)
    sums = np.zeros((parts, *size, lines, lanes), np.float32)
    for_bias = np.zeros((parts if has_bias else 0, lines), np.float32)
    layout = _Layout(stride, padding[0], padding[1], down, across, together, margin)
    memory = _Memory(
        # The zeros between rows are written only here.
        pixels=np.zeros((parts, stride, stride, 2, (length + reach) // 2 + 1, lanes), np.int32),
        slopes=np.zeros((parts, length // 2, lines), np.int32),
        # Not a power of two between lines, or all lines of a tile would share one cache set.
        turned=np.empty((parts, lines, length + COLUMNS), np.int16),
        sums=sums,
        bias=for_bias,
    )
    in_parts(_gradients, n, work, view(x), view(g), layout, amx.full_tile_configuration(), memory)
    kernel = torch.from_numpy(sums.sum(axis=0))[:, :, :outputs, :inputs]
    bias = torch.from_numpy(for_bias.sum(axis=0)[:outputs]) if has_bias else None
    return kernel.permute(2, 3, 0, 1).contiguous(), bias


def _padded_side(length: int, outputs: int, size: int, stride: int, padding: int) -> int:
    """Pixels of a side, with the zeros that separate it from the next."""
    if stride == 1:
        return length + padding
    return max(-(-(length + 2 * padding) // stride), outputs + (size - 1) // stride)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


class _Layout(NamedTuple):
    """How images follow one another in memory, as drawn below; `top` and `left` are the padding."""

    stride: int
    top: int
    left: int
    down: int
    across: int
    together: int
    margin: int


class _Memory(NamedTuple):
    """The arrays below, and `bias`, float32 (parts, outputs), empty if there is none."""

    pixels: Any
    slopes: Any
    turned: Any
    sums: Any
    bias: Any


# At position (u, v) the kernel's gradient is a sum over images and output pixels (r, c):
#
#     gradient[u, v] = Σ g[:, r, c] · x[:, r · stride + u - top, c · stride + v - left]ᵀ
#
# an (outputs, inputs) matrix. To make it a matrix product, the pixels of `together` images are
# written one after the other. An image takes `down` rows of `across` pixels, more than it has; the
# rest stays zero. So a shift by rows and columns meets zeros outside the image, and the zeros that
# end one image begin the next. An image of 3 × 4 pixels, padded by one (. is zero):
#
#     down = 4, across = 6 (5, but even)      . . . . . .      above: (r + top) // stride is a row
#     margin = 2 (1, but even)                . . p p p p      left: rows begin after the margin
#                                             . . p p p p      right: the next row's margin
#                                             . . p p p p . .
#
#     pixels[part, a, b, odd, pair, input] int32, x. With a stride, rows ≡ a and columns ≡ b (mod
#         stride) of the padded image are together, so that a stride is a step by one. Two pixels
#         are one number, the first in the low half: odd 0 contains 01 23 45 …, odd 1 12 34 …,
#         for shifts by an odd number of pixels.        16 pairs × 16 inputs are a tile b
#     slopes[part, pair, output] int32, g, paired likewise, without margin or rows above
#     turned[part, output, pixel] int16, the same, transposed:   16 outputs × 32 pixels are a tile a
#     sums[part, u, v, output, input] float32:                   16 outputs × 16 inputs are a tile c
#
# Each thread has a `part` of the images.
@compiled
def _gradients(
    start: int,
    stop: int,
    part: int,
    x: Any,
    g: Any,
    layout: _Layout,
    shapes: Any,
    memory: _Memory,
) -> None:
    stride, top, left, down, across, together, margin = layout
    pixels, slopes, turned, sums, bias = memory
    configure(shapes.ctypes.data)
    nothing = np.zeros(max(x.shape[3], g.shape[3]), np.int16)
    for first in range(start, stop, together):
        last = min(first + together, stop)
        length = ((last - first) * down * across + COLUMNS - 1) // COLUMNS * COLUMNS
        if last - first < together:  # or the remains of the images before would count again
            slopes[part] = 0
        for i in range(first, last):
            base = (i - first) * down * across  # the image's first pixel
            for r in range(x.shape[1]):
                row = base + (r + top) // stride * across + margin
                for b in range(stride):
                    phase = pixels[part, (r + top) % stride, b, 0]
                    # The columns that are ≡ b once `left` zeros precede them.
                    _pair(x[i, r, (b - left) % stride :: stride], phase[row // 2 :], nothing)
            for r in range(g.shape[1]):
                _pair(g[i, r], slopes[part, (base + r * across) // 2 :], nothing)
        for a in range(stride):
            for b in range(stride):
                _shift_pairs(pixels[part, a, b, 0], pixels[part, a, b, 1])
        _transpose(slopes[part], turned[part])
        _add_products(turned[part], pixels[part], layout, length, sums[part])
        if len(bias):
            _add(slopes[part], bias[part])
    release()


@compiled
def _pair(line: Any, pairs: Any, nothing: Any) -> None:
    """Pair the pixels of a line (pixels, channels): (pixels / 2, channels), padded with a zero."""
    n, channels = line.shape
    at_once = channels // ROWS * ROWS
    source, target = line.ctypes.data, pairs.ctypes.data
    step, width = line.strides[0], pairs.strides[0]  # bytes from a pixel, and a pair, to the next
    for c in range(0, n, 2):
        first, into = source + c * step, target + c // 2 * width
        second = first + step if c + 1 < n else nothing.ctypes.data
        for k in range(0, at_once, ROWS):  # 16 channels at once: 2 bytes each, 4 per pair
            interleave(first + 2 * k, second + 2 * k, into + 4 * k)
        for k in range(at_once, channels):
            high = np.int32(line[c + 1, k]) if c + 1 < n else np.int32(0)
            low = np.int32(line[c, k]) & np.int32(0xFFFF)
            pairs[c // 2, k] = low | np.int32(high << np.int32(16))


@compiled
def _shift_pairs(even: Any, odd: Any) -> None:
    """Pair pixels paired as 01, 23, … (pixels / 2, channels) as 12, 34, …"""
    lanes = even.shape[1]
    before, after = even.ravel(), odd.ravel()
    # A new pair's low half is a pair's second pixel, its high half the next pair's first.
    for k in range(len(before) - lanes):
        low = (before[k] >> np.int32(16)) & np.int32(0xFFFF)
        after[k] = np.int32(low) | np.int32(before[k + lanes] << np.int32(16))


@compiled
def _add(pairs: Any, sums: Any) -> None:
    """sums (channels,) += the sum of all pixels in pairs (pixels / 2, channels)."""
    total = np.zeros(len(sums), np.float32)
    for t in range(pairs.shape[0]):
        for k in range(len(sums)):
            # bfloat16 is the high half of a float32.
            low = np.int32(pairs[t, k] << np.int32(16)).view(np.float32)
            total[k] += low + np.int32(pairs[t, k] & np.int32(-65536)).view(np.float32)
    for k in range(len(sums)):
        sums[k] += total[k]


@compiled
def _transpose(pairs: Any, turned: Any) -> None:
    """Transpose pairs of pixels (length / 2, channels) to (channels, length)."""
    source, target = pairs.ctypes.data, turned.ctypes.data
    step, stride = pairs.strides[0], turned.strides[0]
    # A pair keeps its order, so 16 × 16 pairs are transposed like 32-bit numbers.
    for t in range(0, pairs.shape[0], ROWS):
        for k in range(0, pairs.shape[1], ROWS):
            transpose(source + t * step + 4 * k, step, target + k * stride + 4 * t, stride)


@compiled
def _add_products(turned: Any, pixels: Any, layout: _Layout, length: int, sums: Any) -> None:
    """sums (rows, columns, outputs, inputs) += turned (outputs, pixels) · the shifted pixels.

    Addresses are computed by hand: slicing an array takes as long as a product.
    """
    stride, left, margin, across = layout.stride, layout.left, layout.margin, layout.across
    lines, pairs, total = turned.ctypes.data, pixels.ctypes.data, sums.ctypes.data
    step, width, down = turned.strides[0], pixels.strides[3], sums.strides[2]
    for i in range(0, sums.shape[2], 2 * ROWS):
        for j in range(0, sums.shape[3], 2 * ROWS):
            for u in range(sums.shape[0]):
                for v in range(sums.shape[1]):
                    # Row u of the kernel meets rows ≡ u of the padded image, u // stride below the
                    # output's; columns likewise, except that a phase starts with the image's first
                    # column ≡ b, which is the (skipped + left) // stride-th of the padded image.
                    a, b = u % stride, v % stride
                    skipped = (b - left) % stride
                    shift = margin + u // stride * across + v // stride - (skipped + left) // stride
                    phase = a * pixels.strides[0] + b * pixels.strides[1]
                    # An odd shift starts with the second pixel of a pair.
                    phase += shift % 2 * pixels.strides[2] + shift // 2 * width
                    _add_product(
                        lines + i * step,
                        step,
                        pairs + phase + 4 * j,
                        width,
                        length // COLUMNS,
                        total + u * sums.strides[0] + v * sums.strides[1] + i * down + 4 * j,
                        down,
                        j + ROWS < sums.shape[3],
                    )


@compiled
def _add_product(
    a: int, step: int, b: int, width: int, tiles: int, c: int, down: int, both: Any
) -> None:
    """c, 32 × 32 or 32 × 16, += a · b, given their addresses and the bytes between their rows."""
    right, below = 4 * ROWS, ROWS * down
    # The tiles by number: two of a times two of b, so that each is loaded for two products.
    #
    #                     b    6: 16 inputs | 7: the next
    #     a  4: 16 outputs   c 0            | 2
    #        5: the next       1            | 3
    load(0, c, down)
    load(1, c + below, down)
    if both:
        load(2, c + right, down)
        load(3, c + below + right, down)
        for _ in range(tiles):
            load(4, a, step)
            load(5, a + ROWS * step, step)
            load(6, b, width)
            load(7, b + right, width)
            multiply(0, 4, 6)
            multiply(1, 5, 6)
            multiply(2, 4, 7)
            multiply(3, 5, 7)
            a += 2 * COLUMNS  # 32 pixels of 2 bytes
            b += ROWS * width  # 16 pairs of pixels
        store(2, c + right, down)
        store(3, c + below + right, down)
    else:
        for _ in range(tiles):
            load(4, a, step)
            load(5, a + ROWS * step, step)
            load(6, b, width)
            multiply(0, 4, 6)
            multiply(1, 5, 6)
            a += 2 * COLUMNS
            b += ROWS * width
    store(0, c, down)
    store(1, c + below, down)
