"""Batch norm fused with the ReLU before or after it and the dropout that follows."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.kernels.compiled import as_float, as_stored, compiled, count_parts, in_parts
from fittingroom.kernels.random import draw_seed, keep_threshold, random_bits
from fittingroom.kernels.tensors import can_compile, channels_last, view


class BatchNorm(nn.BatchNorm2d):
    """Batch norm of maps (Ioffe and Szegedy 2015) with ReLU and dropout, in two passes.

    PyTorch makes a pass or two for each of ReLU, batch norm and dropout, and keeps the maps between
    them for the backward pass. Here one pass computes the channels' means and variances, one does
    the rest, and only the input is kept.

    Parameters
    ----------
    channels : of the maps
    relu : ``"before"`` or ``"after"`` the normalization, or None
    dropout : probability with which an element is then zeroed and the others scaled up
    eps, momentum : as in ``nn.BatchNorm2d``
    """

    def __init__(
        self,
        channels: int,
        *,
        relu: Literal["before", "after"] | None = None,
        dropout: float = 0.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
        self.relu, self.dropout = relu, dropout

    def extra_repr(self) -> str:
        channels = self.num_features
        return f"{channels}, eps={self.eps}, relu={self.relu!r}, dropout={self.dropout}"

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, channels, h, w)`` to the same shape."""
        if self.training and can_compile(x):
            return self._forward_compiled(x)
        if self.relu == "before":
            x = F.relu(x)
        x = super().forward(x)
        if self.relu == "after":
            x = F.relu(x)
        return F.dropout(x, self.dropout, self.training)

    def _forward_compiled(self, x: Tensor) -> Tensor:
        floors = (
            np.float32(0 if self.relu == "before" else -math.inf),
            np.float32(0 if self.relu == "after" else -math.inf),
        )
        y: Tensor
        y, mean, variance = _Normalize.apply(  # type: ignore[no-untyped-call]
            *(x, self.weight, self.bias, self.eps, floors, self.dropout)
        )
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        n = x.numel() // x.shape[1]
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (n / max(n - 1, 1)), self.momentum)
        return y


class _Layer(NamedTuple):
    """What a pass needs besides the maps; see the drawing above `_sum`.

    Attributes
    ----------
    before, after : floors, float32
    scale, shift : float32 (channels,)
    drops : whether there is dropout
    factor : by which dropout multiplies the elements that it keeps
    kept : bool (images, rows, columns, channels), the elements kept; empty without dropout
    """

    before: np.float32
    after: np.float32
    scale: Any
    shift: Any
    drops: bool
    factor: np.float32
    kept: Any


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
        floors: tuple[np.float32, np.float32],
        dropout: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = channels_last(x)
        parts = count_parts(len(x), x.numel())
        sums = np.zeros((parts, 2, x.shape[1]), np.float64)
        in_parts(_sum, len(x), x.numel(), view(x), floors[0], sums)
        total = torch.from_numpy(sums.sum(axis=0)) / (x.numel() // x.shape[1])
        # E x² - (E x)² cancels digits, so the sums are float64; rounding may make it negative.
        mean, variance = total[0], (total[1] - total[0].square()).clamp_min(0)
        inverse = (variance + eps).rsqrt()
        scale = (weight.detach() * inverse).float()
        shift = (bias.detach() - mean * scale).float()

        y = torch.empty_like(x)
        chance = (draw_seed() if dropout else np.uint32(0), keep_threshold(dropout))
        factor = np.float32(1 / (1 - dropout))
        n, channels, height, width = x.shape if dropout else (0, 0, 0, 0)
        kept = np.empty((n, height, width, channels), np.bool_)  # for the backward pass
        layer = _Layer(*floors, view(scale), view(shift), dropout > 0, factor, kept)
        ctx.layer = layer
        ctx.mean, ctx.inverse = mean, inverse
        ctx.save_for_backward(x)
        in_parts(_normalize, len(x), x.numel(), view(x), layer, *chance, view(y))
        mean, variance = mean.float(), variance.float()
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        (x,) = ctx.saved_tensors
        g = channels_last(gradients[0])
        n, channels = x.numel() // x.shape[1], x.shape[1]
        parts = count_parts(len(x), x.numel())
        sums = np.zeros((parts, 2, channels), np.float64)
        in_parts(_sum_gradients, len(x), x.numel(), view(x), view(g), ctx.layer, sums)
        # Sums of the gradients before dropout and ReLU, and of these times the input.
        for_bias, products = torch.from_numpy(sums.sum(axis=0))
        for_weight = (products - ctx.mean * for_bias) * ctx.inverse
        scale = torch.from_numpy(ctx.layer.scale)
        # The terms of the derivative that a whole channel shares, see above `_sum`.
        slope = (-scale * ctx.inverse * for_weight / n).float()
        level = (-scale * for_bias / n - slope * ctx.mean).float()
        d = torch.empty_like(x)
        in_parts(
            *(_propagate, len(x), x.numel(), view(x), view(g), ctx.layer),
            *(view(slope), view(level), view(d)),
        )
        return d, for_weight.float(), for_bias.float(), None, None, None


# The kernels run over maps in memory order, (images, rows, columns, channels): a channel's
# constants are a short vector, and the innermost loops, over channels, are vectorised. Each thread
# has a `part` of the images and its own sums.
#
#     x ── at least `before` ──► value ── · scale + shift ── at least `after` ── dropout ──► y
#
# A ReLU is a floor of 0, none a floor of -∞; scale = weight / σ, shift = bias - mean · scale. If g
# is the gradient of the normalised value, that of the value is (Ioffe and Szegedy 2015, section 3)
#
#     scale · (g - Σ g / n - (value - mean) / σ² · Σ (g · (value - mean)) / n)
#
# over the n pixels of a channel: scale · g + slope · value + level, with two numbers per channel.
# So the backward pass is a pass for the two sums (`_sum_gradients`) and one for the result
# (`_propagate`), and both recompute the forward pass from x: memory is slower than arithmetic.
#
# "before if value <= before else value" keeps NaN, which max(value, before) wouldn't.
@compiled
def _sum(start: int, stop: int, part: int, x: Any, before: Any, sums: Any) -> None:
    channels = x.shape[3]
    ones = np.empty(channels, np.float32)  # per row of pixels: sums of sums lose less precision
    squares = np.empty(channels, np.float32)
    for i in range(start, stop):
        for r in range(x.shape[1]):
            ones[:] = 0
            squares[:] = 0
            for c in range(x.shape[2]):
                for k in range(channels):
                    value = as_float(x[i, r, c, k])
                    value = before if value <= before else value
                    ones[k] += value
                    squares[k] += value * value
            for k in range(channels):
                sums[part, 0, k] += ones[k]
                sums[part, 1, k] += squares[k]


@compiled
def _normalize(
    start: int,
    stop: int,
    part: int,
    x: Any,
    layer: _Layer,
    seed: Any,
    levels: Any,
    y: Any,
) -> None:
    before, after, scale, shift, drops, factor, kept = layer
    height, width, channels = x.shape[1:]
    for i in range(start, stop):
        for r in range(height):
            for c in range(width):
                # An element's number in the batch decides its random bits, not its thread.
                first = ((i * height + r) * width + c) * channels
                for k in range(channels):
                    value = as_float(x[i, r, c, k])
                    value = before if value <= before else value
                    value = value * scale[k] + shift[k]
                    value = after if value <= after else value
                    if drops:
                        lives = random_bits(seed, first + k) < levels
                        value = value * factor if lives else np.float32(0)
                        kept[i, r, c, k] = lives
                    y[i, r, c, k] = as_stored(value, y[i, r, c, k])


@compiled
def _sum_gradients(
    start: int,
    stop: int,
    part: int,
    x: Any,
    g: Any,
    layer: _Layer,
    sums: Any,
) -> None:
    before, after, scale, shift, drops, factor, kept = layer
    height, width, channels = x.shape[1:]
    ones = np.empty(channels, np.float32)
    products = np.empty(channels, np.float32)
    for i in range(start, stop):
        for r in range(height):
            ones[:] = 0
            products[:] = 0
            for c in range(width):
                for k in range(channels):
                    value = as_float(x[i, r, c, k])
                    value = before if value <= before else value
                    gradient = as_float(g[i, r, c, k])
                    # Back through the floor `after`, then through dropout.
                    lives = value * scale[k] + shift[k] > after
                    gradient = gradient if lives else np.float32(0)
                    if drops:
                        gradient = gradient * factor if kept[i, r, c, k] else np.float32(0)
                    ones[k] += gradient
                    products[k] += gradient * value
            for k in range(channels):
                sums[part, 0, k] += ones[k]
                sums[part, 1, k] += products[k]


@compiled
def _propagate(
    start: int,
    stop: int,
    part: int,
    x: Any,
    g: Any,
    layer: _Layer,
    slope: Any,
    level: Any,
    d: Any,
) -> None:
    before, after, scale, shift, drops, factor, kept = layer
    height, width, channels = x.shape[1:]
    for i in range(start, stop):
        for r in range(height):
            for c in range(width):
                for k in range(channels):
                    value = as_float(x[i, r, c, k])
                    passes = value > before
                    value = before if value <= before else value
                    gradient = as_float(g[i, r, c, k])
                    lives = value * scale[k] + shift[k] > after
                    gradient = gradient if lives else np.float32(0)
                    if drops:
                        gradient = gradient * factor if kept[i, r, c, k] else np.float32(0)
                    result = scale[k] * gradient + slope[k] * value + level[k]
                    result = result if passes else np.float32(0)
                    d[i, r, c, k] = as_stored(result, d[i, r, c, k])
