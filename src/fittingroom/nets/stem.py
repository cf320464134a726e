"""The first convolution of a small network, fused with its pooling and ReLU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.kernels import capabilities
from fittingroom.kernels.compiled import (
    as_float,
    as_stored,
    compiled,
    count_parts,
    in_parts,
    instruction,
)
from fittingroom.kernels.tensors import can_compile, view
from fittingroom.nets.pooling import NOWHERE

#: Numbers that the kernels process at once.
LANES = 16
#: Passes over memory that take as long as the 36 multiplications per output element.
WORK = 8

_NUMBER, _WORD = ir.FloatType(), ir.IntType(64)
_ROW = ir.VectorType(_NUMBER, LANES)
_BYTES, _INDICES = (ir.VectorType(ir.IntType(bits), LANES) for bits in (8, 32))
# Numba's helpers, which have no types.
_variable: Any = cgutils.alloca_once_value
_declared: Any = cgutils.get_or_insert_function

#: The rows and columns of the nine weights.
_TAPS = [(u, v) for u in range(3) for v in range(3)]


@instruction
def add_routed(
    typing: Any, sums: Any, g: Any, places: Any, corner: Any, width: Any, columns: Any, lanes: Any
) -> Any:
    """In a kernel: add what a row of output pixels adds to the gradients of 3 × 3 × 16 weights.

    ``sums`` is their address; ``g`` and ``places`` are those of the first pixel's 16 slopes and of
    the place among 2 × 2 pixels that each goes to. Those of the next of the ``columns`` are
    ``lanes`` numbers further. ``corner`` is the address of the first of the 4 × 4 pixels that the
    first one sees, ``width`` the bytes of a row. Emitted by hand, since a compiler doesn't keep the
    nine sums in registers.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums, g, places, corner, width, columns, lanes = values
        code = _Routing(builder)
        totals = [_variable(builder, code.load(sums, 4 * LANES * tap, _ROW)) for tap in range(9)]
        with cgutils.for_range(builder, columns) as column:
            position = builder.mul(column.index, lanes)
            gradient = code.load(builder.add(g, builder.mul(position, _WORD(4))), 0, _ROW)
            origin = code.load(builder.add(places, position), 0, _BYTES)
            seen = builder.add(corner, builder.mul(column.index, _WORD(8)))
            for total, products in zip(
                totals, code.products(gradient, origin, seen, width), strict=True
            ):
                for left, right in products:
                    product = builder.fmul(left, right, flags=("contract",))
                    more = builder.fadd(product, builder.load(total), flags=("contract",))
                    builder.store(more, total)
        for tap, total in enumerate(totals):
            builder.store(builder.load(total), code.at(sums, 4 * LANES * tap, _ROW), align=1)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 7), emit


class _Routing:
    """Emits what an output pixel adds to the gradients of 16 channels' weights."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def at(self, address: Any, offset: int, kind: Any) -> Any:
        return self.builder.inttoptr(self.builder.add(address, _WORD(offset)), kind.as_pointer())

    def load(self, address: Any, offset: int, kind: Any) -> Any:
        return self.builder.load(self.at(address, offset, kind), align=1)

    def products(self, gradient: Any, origin: Any, corner: Any, width: Any) -> list[list[Any]]:
        """The pairs of vectors whose products each of the nine weights' gradients gets.

        The weight at (u, v) meets the pixel at (u, v) + (p // 2, p % 2) for place p.
        """
        rows = [self.builder.add(corner, self.builder.mul(width, _WORD(u))) for u in range(4)]
        if capabilities.has_wide_vectors():
            return self._permuted(gradient, origin, rows)
        return self._masked(gradient, origin, rows)

    def _permuted(self, gradient: Any, origin: Any, rows: list[Any]) -> list[list[Any]]:
        """One product a weight: all 4 × 4 pixels are a vector, of which each channel takes one."""
        builder = self.builder
        above, below = (
            builder.shuffle_vector(
                *(self.load(row, 0, ir.VectorType(_NUMBER, 4)) for row in rows[pair : pair + 2]),
                _indices(range(8)),
            )
            for pair in (0, 2)
        )
        pixels = builder.shuffle_vector(above, below, _indices(range(16)))
        place = builder.zext(origin, _INDICES)
        down = builder.and_(builder.shl(place, _indices([1] * LANES)), _indices([4] * LANES))
        of_place = builder.or_(down, builder.and_(place, _indices([1] * LANES)))
        permute = _declared(
            builder.module,
            ir.FunctionType(_ROW, [_ROW, _INDICES]),
            "llvm.x86.avx512.permvar.sf.512",
        )
        taps = [builder.add(of_place, _indices([4 * u + v] * LANES)) for u, v in _TAPS]
        return [[(gradient, builder.call(permute, [pixels, tap]))] for tap in taps]

    def _masked(self, gradient: Any, origin: Any, rows: list[Any]) -> list[list[Any]]:
        """Four products a weight, of gradients with zeros where the maximum was elsewhere."""
        builder, none = self.builder, ir.Constant(_ROW, [0.0] * LANES)
        routed = [
            builder.select(
                builder.icmp_unsigned("==", origin, ir.Constant(_BYTES, [place] * LANES)),
                gradient,
                none,
            )
            for place in range(4)
        ]
        # 4 × 4 pixels, each in all lanes, are loaded once for 9 · 4 products.
        pixels = [
            [self._in_all_lanes(self.load(row, 4 * v, _NUMBER)) for v in range(4)] for row in rows
        ]
        return [
            [(routed[place], pixels[u + place // 2][v + place % 2]) for place in range(4)]
            for u, v in _TAPS
        ]

    def _in_all_lanes(self, number: Any) -> Any:
        nothing = ir.Constant(_ROW, ir.Undefined)
        first = self.builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(first, nothing, _indices([0] * LANES))


def _indices(numbers: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), list(numbers))


class Stem(nn.Conv2d):
    """A 3 × 3 convolution of one channel without padding, 2 × 2 max-pooling and ReLU.

    With a single input channel a convolution is memory-bound: its maps, the largest of the network,
    are written, read, pooled and discarded. Here they never exist. The sums are float32 whatever
    the precision of the training.

    Parameters
    ----------
    channels : of the output
    """

    def __init__(self, channels: int) -> None:
        super().__init__(1, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, 1, h, w)`` to ``(batch, channels, (h - 2) // 2, (w - 2) // 2)``."""
        if can_compile(x) and x.dtype == torch.float32 and not x.requires_grad:
            maps: Tensor = _Stem.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
            return maps
        return F.relu(F.max_pool2d(super().forward(x), 2))


class _Stem(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        n, _, height, width = x.shape
        channels = len(weight)
        shape = n, channels, (height - 2) // 2, (width - 2) // 2
        half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
        y = torch.empty(shape, dtype=half or x.dtype, memory_format=torch.channels_last)
        places = np.empty((n, *shape[2:], channels), np.uint8)
        pixels = x[:, 0].contiguous().numpy()  # (n, h, w); the gradients' kernel counts addresses
        lanes = _padded_channels(channels)
        kernel, start = np.zeros((3, 3, lanes), np.float32), np.zeros(lanes, np.float32)
        kernel[:, :, :channels] = weight.detach()[:, 0].permute(1, 2, 0).numpy()
        start[:channels] = view(bias)
        in_parts(convolve, n, WORK * y.numel(), pixels, kernel, start, view(y), places)
        ctx.pixels, ctx.places = pixels, places
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:
        g = gradients[0].contiguous(memory_format=torch.channels_last)
        n, channels = g.shape[:2]
        parts = count_parts(n, WORK * g.numel())
        lanes = _padded_channels(channels)
        for_kernel = np.zeros((parts, 3, 3, lanes), np.float32)
        for_bias = np.zeros((parts, lanes), np.float32)
        in_parts(
            *(add_gradients, n, WORK * g.numel()),
            ctx.pixels,
            view(g),
            ctx.places,
            for_kernel,
            for_bias,
        )
        weight = torch.from_numpy(for_kernel.sum(axis=0)).permute(2, 0, 1)[:channels, None]
        return None, weight.contiguous(), torch.from_numpy(for_bias.sum(axis=0))[:channels]


def _padded_channels(channels: int) -> int:
    """The number of channels rounded up, so that the processor's vectors are full."""
    return -(-channels // LANES) * LANES


# An output element is the largest of four sums over 3 × 3 pixels each, at the places 0 … 3.
# Together they see 4 × 4 pixels of the image, starting at (2r, 2c):
#
#     place 0    1        2        3
#     x x x .  . x x x  . . . .  . . . .       `places` records which one it was, or NOWHERE if ReLU
#     x x x .  . x x x  x x x .  . x x x       set it to zero: one byte, instead of the maps that
#     x x x .  . x x x  x x x .  . x x x       pooling would have to search again.
#     . . . .  . . . .  x x x .  . x x x
#
# Channels are innermost and padded with zeros to full vectors of 16 (`lanes`), so that a pixel is
# multiplied by the weights of 16 channels at once. Each thread has a `part` of the images.
@compiled
def convolve(
    start: int, stop: int, part: int, x: Any, kernel: Any, bias: Any, y: Any, places: Any
) -> None:
    values = np.empty(len(bias), np.float32)
    origins = np.empty(len(bias), np.uint8)
    for i in range(start, stop):
        for r in range(y.shape[1]):
            for c in range(y.shape[2]):
                for k in range(len(bias)):
                    # The four sums side by side share the loads of weights and pixels.
                    best = bias[k]
                    right = bias[k]
                    below = bias[k]
                    across = bias[k]
                    for u in range(3):
                        for v in range(3):
                            w = kernel[u, v, k]
                            best += w * x[i, 2 * r + u, 2 * c + v]
                            right += w * x[i, 2 * r + u, 2 * c + v + 1]
                            below += w * x[i, 2 * r + u + 1, 2 * c + v]
                            across += w * x[i, 2 * r + u + 1, 2 * c + v + 1]
                    place = np.uint8(0)
                    place = np.uint8(1) if right > best else place
                    best = right if right > best else best
                    place = np.uint8(2) if below > best else place
                    best = below if below > best else best
                    place = np.uint8(3) if across > best else place
                    best = across if across > best else best
                    origins[k] = np.uint8(NOWHERE) if best <= 0 else place
                    values[k] = np.float32(0) if best <= 0 else best
                for k in range(y.shape[3]):
                    y[i, r, c, k] = as_stored(values[k], y[i, r, c, k])
                    places[i, r, c, k] = origins[k]


@compiled
def add_gradients(
    start: int, stop: int, part: int, x: Any, g: Any, places: Any, for_kernel: Any, for_bias: Any
) -> None:
    lanes, channels, columns = for_bias.shape[1], g.shape[3], g.shape[2]
    width = x.shape[2]
    # Of a row of output pixels.
    values = np.zeros((columns, lanes), np.float32)
    origins = np.full((columns, lanes), np.uint8(NOWHERE))
    # Sums per image: sums of sums lose less precision.
    kernel = np.empty((lanes // LANES, 9, LANES), np.float32)
    bias = np.empty(lanes, np.float32)
    for i in range(start, stop):
        kernel[:] = 0
        bias[:] = 0
        for r in range(g.shape[1]):
            for c in range(columns):
                for k in range(channels):
                    place = places[i, r, c, k]
                    value = as_float(g[i, r, c, k])
                    value = value if place < NOWHERE else np.float32(0)
                    values[c, k] = value
                    origins[c, k] = place
                    bias[k] += value
            # The address of the first of the 4 × 4 float32 pixels.
            corner = x.ctypes.data + 4 * (i * x.shape[1] + 2 * r) * width
            for block in range(lanes // LANES):
                add_routed(
                    kernel.ctypes.data + block * kernel.strides[0],
                    values.ctypes.data + 4 * LANES * block,
                    origins.ctypes.data + LANES * block,
                    corner,
                    4 * width,
                    columns,
                    lanes,
                )
        for block in range(lanes // LANES):
            for k in range(LANES):
                for tap in range(9):
                    for_kernel[part, tap // 3, tap % 3, block * LANES + k] += kernel[block, tap, k]
        for k in range(lanes):  # whole rows would compile their error message, for two seconds
            for_bias[part, k] += bias[k]
