"""Max-pooling that remembers where each maximum was, for a fast backward pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.kernels.compiled import as_float, as_stored, compiled, in_parts
from fittingroom.kernels.tensors import can_compile, channels_last, view

#: The place that a maximum came from is 0 … 3; this marks one that ReLU set to zero.
NOWHERE = 4


class MaxPool(nn.Module):
    """The maximum of every 2 × 2 pixels, optionally followed by ReLU.

    The maximum commutes with ReLU, and there is less to rectify. PyTorch's own pooling keeps 64-bit
    positions and adds gradients into zeroed maps; here one byte records where each maximum was, and
    every pixel's gradient is written once.

    Parameters
    ----------
    relu : whether negative maxima become 0
    """

    def __init__(self, *, relu: bool = False) -> None:
        super().__init__()
        self.relu = relu

    def extra_repr(self) -> str:
        return f"relu={self.relu}"

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, h, w)`` to ``(batch, channels, h // 2, w // 2)``."""
        if can_compile(x):
            pooled: Tensor = _MaxPool.apply(x, self.relu)  # type: ignore[no-untyped-call]
            return pooled
        pooled = F.max_pool2d(x, 2)
        return F.relu(pooled) if self.relu else pooled


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, relu: bool) -> Tensor:
        x = channels_last(x)
        n, channels, height, width = x.shape
        shape = n, channels, height // 2, width // 2
        y = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        places = np.empty((n, height // 2, width // 2, channels), np.uint8)
        floor = np.float32(0 if relu else -math.inf)
        in_parts(pool, n, x.numel(), view(x), view(y), places, floor)
        ctx.places, ctx.shape = places, x.shape
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        g = channels_last(gradients[0])
        d = torch.empty(ctx.shape, dtype=g.dtype, memory_format=torch.channels_last)
        in_parts(unpool, len(d), d.numel(), view(g), ctx.places, view(d))
        return d, None


# Both kernels run over maps in memory order, channels innermost, so that the innermost loops are
# vectorised: choices are selections, without branches. The places of four pixels are
#
#     0 1      and NOWHERE if the floor, a ReLU's 0, is at least as large as all of them
#     2 3
#
# Of equal pixels the first counts, as in PyTorch. An odd side loses its last pixel.
@compiled
def pool(start: int, stop: int, part: int, x: Any, y: Any, places: Any, floor: Any) -> None:
    for i in range(start, stop):
        for r in range(y.shape[1]):
            for c in range(y.shape[2]):
                for k in range(y.shape[3]):
                    best = as_float(x[i, 2 * r, 2 * c, k])
                    right = as_float(x[i, 2 * r, 2 * c + 1, k])
                    below = as_float(x[i, 2 * r + 1, 2 * c, k])
                    across = as_float(x[i, 2 * r + 1, 2 * c + 1, k])
                    place = np.uint8(0)
                    place = np.uint8(1) if right > best else place
                    best = right if right > best else best
                    place = np.uint8(2) if below > best else place
                    best = below if below > best else best
                    place = np.uint8(3) if across > best else place
                    best = across if across > best else best
                    place = np.uint8(NOWHERE) if best <= floor else place
                    best = floor if best <= floor else best
                    y[i, r, c, k] = as_stored(best, y[i, r, c, k])
                    places[i, r, c, k] = place


@compiled
def unpool(start: int, stop: int, part: int, g: Any, places: Any, d: Any) -> None:
    none = d.dtype.type(0)
    for i in range(start, stop):
        for r in range(d.shape[1]):
            for c in range(d.shape[2]):
                if r // 2 >= g.shape[1] or c // 2 >= g.shape[2]:  # an odd side's last pixels
                    for k in range(d.shape[3]):
                        d[i, r, c, k] = none
                    continue
                here = np.uint8(r % 2 * 2 + c % 2)
                for k in range(d.shape[3]):
                    # The bits are copied unchanged, float32 or bfloat16.
                    came = places[i, r // 2, c // 2, k] == here
                    d[i, r, c, k] = g[i, r // 2, c // 2, k] if came else none
