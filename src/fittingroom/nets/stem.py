"""The first convolution of a small network, fused with its pooling and ReLU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from torch import Tensor, nn
from torch.nn import functional as F

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


@instruction
def add_routed(typing: Any, sums: Any, g: Any, places: Any, corner: Any, width: Any) -> Any:
    """In a kernel: add one output pixel's gradients of 3 × 3 × 16 weights to those at an address.

    ``g`` and ``places`` are the addresses of 16 gradients and of the place among 2 × 2 pixels that
    each goes to; ``corner`` that of the first of the 4 × 4 pixels that these see, ``width`` the
    bytes of a row. Emitted by hand, since a compiler doesn't keep the nine sums in registers.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        number, byte = ir.FloatType(), ir.IntType(8)
        row, bytes_ = ir.VectorType(number, LANES), ir.VectorType(byte, LANES)

        def at(address: Any, offset: Any, kind: Any) -> Any:
            return builder.inttoptr(builder.add(address, offset), kind.as_pointer())

        def constant(offset: int) -> Any:
            return ir.Constant(ir.IntType(64), offset)

        sums, g, places, corner, width = values
        gradient = builder.load(at(g, constant(0), row), align=1)
        origin = builder.load(at(places, constant(0), bytes_), align=1)
        none = ir.Constant(row, [0.0] * LANES)
        # The gradient four times, each with zeros where the maximum was at another place.
        routed = [
            builder.select(
                builder.icmp_unsigned("==", origin, ir.Constant(bytes_, [place] * LANES)),
                gradient,
                none,
            )
            for place in range(4)
        ]
        # The weight at (u, v) meets the pixel at (u, v) + (p // 2, p % 2) for place p. So 16 pixels
        # are loaded once for 9 · 4 products.
        pixels = []  # 4 × 4, each in all lanes
        for u in range(4):
            for v in range(4):
                offset = builder.add(builder.mul(width, constant(u)), constant(4 * v))
                pixel = builder.load(at(corner, offset, number), align=1)
                first = builder.insert_element(
                    ir.Constant(row, ir.Undefined), pixel, ir.Constant(ir.IntType(32), 0)
                )
                zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
                pixels.append(builder.shuffle_vector(first, ir.Constant(row, ir.Undefined), zeros))
        for u in range(3):
            for v in range(3):
                there = at(sums, constant(4 * LANES * (3 * u + v)), row)
                total = builder.load(there, align=1)
                for place in range(4):
                    pixel = pixels[4 * (u + place // 2) + v + place % 2]
                    product = builder.fmul(routed[place], pixel, flags=("contract",))
                    total = builder.fadd(product, total, flags=("contract",))
                builder.store(total, there, align=1)
        return context.get_dummy_value()

    return types.void(*(types.intp,) * 5), emit


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
    lanes, channels = for_bias.shape[1], g.shape[3]
    width = x.shape[2]
    values = np.zeros(lanes, np.float32)
    origins = np.full(lanes, np.uint8(NOWHERE))
    # Sums per image: sums of sums lose less precision.
    kernel = np.empty((lanes // LANES, 9, LANES), np.float32)
    bias = np.empty(lanes, np.float32)
    for i in range(start, stop):
        kernel[:] = 0
        bias[:] = 0
        for r in range(g.shape[1]):
            for c in range(g.shape[2]):
                for k in range(channels):
                    place = places[i, r, c, k]
                    value = as_float(g[i, r, c, k])
                    value = value if place < NOWHERE else np.float32(0)
                    values[k] = value
                    origins[k] = place
                    bias[k] += value
                # The address of the first of the 4 × 4 float32 pixels.
                corner = x.ctypes.data + 4 * ((i * x.shape[1] + 2 * r) * width + 2 * c)
                for block in range(lanes // LANES):
                    add_routed(
                        kernel.ctypes.data + block * kernel.strides[0],
                        values.ctypes.data + 4 * LANES * block,
                        origins.ctypes.data + LANES * block,
                        corner,
                        4 * width,
                    )
        for block in range(lanes // LANES):
            for k in range(LANES):
                for tap in range(9):
                    for_kernel[part, tap // 3, tap % 3, block * LANES + k] += kernel[block, tap, k]
        for k in range(lanes):  # whole rows would compile their error message, for two seconds
            for_bias[part, k] += bias[k]
