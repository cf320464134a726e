"""Max-pooling, batch norm and ReLU in training, at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fittingroom.kernels.compiled import compiled, count_parts, in_parts
from fittingroom.kernels.tensors import can_compile, channels_last, view
from fittingroom.kernels.vectors import LANES, load, spread, store, where_equal, where_greater
from fittingroom.nets.normalization import BatchNorm


def can_normalize_at_once(x: Tensor) -> bool:
    """Whether the functions below take maps (batch, channels, h, w) or rows (batch, channels)."""
    return can_compile(x) and x.shape[1] % LANES == 0


def pool_and_normalize(x: Tensor, norm: BatchNorm) -> Tensor:
    """``norm(MaxPool()(x))`` in training mode, where ``norm`` has ReLU after it and no dropout.

    It updates the layer's running statistics.

    Parameters
    ----------
    x : (batch, channels, h, w), a multiple of 16 channels

    Returns
    -------
    (batch, channels, h // 2, w // 2)
    """
    assert norm.relu == "after"
    assert not norm.dropout
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    y: Tensor = _PoolAndNormalize.apply(  # type: ignore[no-untyped-call]
        x, norm.weight, norm.bias, norm
    )
    return y


def normalize_rows(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """``norm(x)`` and ReLU in training mode, of (batch, channels), a multiple of 16 channels."""
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked += 1
    y: Tensor = _NormalizeRows.apply(  # type: ignore[no-untyped-call]
        x, norm.weight, norm.bias, norm
    )
    return y


class _Channels(NamedTuple):
    """What a pass needs to know of the channels; float32 (channels,) each.

    Attributes
    ----------
    scale, shift : the normalised value is value · scale + shift
    slope, level : the gradient of value is scale · g + slope · value + level
    """

    scale: Any
    shift: Any
    slope: Any
    level: Any


def _prepare_channels(
    sums: Any, pixels: int, weight: Tensor, bias: Tensor, norm: _BatchNorm
) -> tuple[_Channels, Any]:
    """What the passes after the sums need, and the mean and 1 / standard deviation (2, channels).

    It updates the running statistics.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    channels = len(weight)
    layer, statistics = _Channels(*np.empty((4, channels), np.float32)), np.empty((2, channels))
    assert norm.momentum is not None
    running = view(norm.running_mean), view(norm.running_var)
    constants = pixels, norm.eps, norm.momentum
    _prepare(sums, *constants, statistics, view(weight), view(bias), *running, layer)
    return layer, statistics


class _PoolAndNormalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: BatchNorm) -> Tensor:
        x = channels_last(x)
        n, channels, height, width = x.shape
        shape = n, channels, height // 2, width // 2
        pooled = torch.empty(shape, dtype=x.dtype, memory_format=torch.channels_last)
        places = np.empty((n, *shape[2:], channels), np.uint8)
        work = pooled.numel()
        sums = np.zeros((count_parts(n, work), 2, channels), np.float64)
        in_parts(_pool_and_sum, n, work, view(x), view(pooled), places, sums)

        pixels = pooled.numel() // channels
        layer, statistics = _prepare_channels(sums, pixels, weight, bias, norm)
        y = torch.empty_like(pooled)
        in_parts(_normalize, n, work, view(pooled), layer, view(y))
        ctx.save_for_backward(pooled)
        ctx.places, ctx.layer, ctx.statistics, ctx.shape = places, layer, statistics, x.shape
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (pooled,) = ctx.saved_tensors
        g = channels_last(gradients[0])
        n, channels = g.shape[:2]
        d = torch.empty(ctx.shape, dtype=g.dtype, memory_format=torch.channels_last)
        sums = np.zeros((count_parts(n, g.numel()), 2, channels), np.float64)
        in_parts(_sum_gradients, n, g.numel(), view(pooled), view(g), ctx.layer, sums)
        for_weight, for_bias = torch.empty(2, channels)
        pixels = g.numel() // channels
        _prepare_backward(sums, pixels, ctx.statistics, ctx.layer, view(for_weight), view(for_bias))
        in_parts(_propagate, n, g.numel(), view(pooled), view(g), ctx.places, ctx.layer, view(d))
        return d, for_weight, for_bias, None


class _NormalizeRows(torch.autograd.Function):
    """The rows are passed as the pixels of one image."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: nn.BatchNorm1d) -> Tensor:
        n, channels = x.shape
        rows = view(x.contiguous()).reshape(1, n, 1, channels)
        sums = np.zeros((1, 2, channels), np.float64)
        _sum(0, 1, 0, rows, sums)
        layer, statistics = _prepare_channels(sums, n, weight, bias, norm)
        y = torch.empty_like(x)
        _normalize(0, 1, 0, rows, layer, view(y).reshape(rows.shape))
        ctx.rows, ctx.layer, ctx.statistics = rows, layer, statistics
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        g = gradients[0].contiguous()
        n, channels = g.shape
        slopes = view(g).reshape(ctx.rows.shape)
        sums = np.zeros((1, 2, channels), np.float64)
        _sum_gradients(0, 1, 0, ctx.rows, slopes, ctx.layer, sums)
        for_weight, for_bias = np.empty((2, channels), np.float32)
        _prepare_backward(sums, n, ctx.statistics, ctx.layer, for_weight, for_bias)
        d = torch.empty_like(g)
        _propagate_rows(ctx.rows, slopes, ctx.layer, view(d).reshape(ctx.rows.shape))
        return d, torch.from_numpy(for_weight), torch.from_numpy(for_bias), None


# The passes of `pooling` and `normalization` in fewer trips through memory, with their formulas:
#
#     forward    x ── largest of 2 × 2 ──► pooled, places ── · scale + shift, ReLU ──► y
#                                └─► Σ, Σ² per channel ──► scale, shift
#     backward   pooled, g ──► Σ g, Σ g · value, where ReLU lets pass ──► slope, level
#                pooled, g, places ── scale · g + slope · value + level, to its place ──► d
#
# All maps are in memory order, (images, rows, columns, channels). A row is passed 16 channels after
# 16, so that the sums and constants of these stay in registers. A sum of sums of rows and images
# loses less precision.
@compiled
def _pool_and_sum(start: int, stop: int, part: int, x: Any, y: Any, places: Any, sums: Any) -> None:
    width, channels = x.shape[2], x.shape[3]
    down = width * channels  # from an element to the one below
    nothing, one = spread(np.float32(0)), spread(np.float32(1))
    two, three = spread(np.float32(2)), spread(np.float32(3))
    ones = np.empty(channels, np.float32)  # of an image
    squares = np.empty(channels, np.float32)
    for i in range(start, stop):
        ones[:] = 0
        squares[:] = 0
        for r in range(y.shape[1]):
            for k in range(0, channels, LANES):
                total, total_squares = load(ones, k), load(squares, k)
                source = (i * x.shape[1] + 2 * r) * down + k
                target = (i * y.shape[1] + r) * y.shape[2] * channels + k
                for _ in range(y.shape[2]):
                    best, right = load(x, source), load(x, source + channels)
                    below, across = load(x, source + down), load(x, source + down + channels)
                    place = where_greater(right, best, one, nothing)
                    best = where_greater(right, best, right, best)
                    place = where_greater(below, best, two, place)
                    best = where_greater(below, best, below, best)
                    place = where_greater(across, best, three, place)
                    best = where_greater(across, best, across, best)
                    store(best, y, target)
                    store(place, places, target)
                    total = total + best
                    total_squares = total_squares + best * best
                    source += 2 * channels
                    target += channels
                store(total, ones, k)
                store(total_squares, squares, k)
        for k in range(channels):
            sums[part, 0, k] += ones[k]
            sums[part, 1, k] += squares[k]


@compiled
def _sum(start: int, stop: int, part: int, x: Any, sums: Any) -> None:
    pixels, channels = x.shape[1] * x.shape[2], x.shape[3]
    ones = np.empty(channels, np.float32)  # of an image
    squares = np.empty(channels, np.float32)
    for i in range(start, stop):
        for k in range(0, channels, LANES):
            total = total_squares = spread(np.float32(0))
            at = i * pixels * channels + k
            for _ in range(pixels):
                value = load(x, at)
                total = total + value
                total_squares = total_squares + value * value
                at += channels
            store(total, ones, k)
            store(total_squares, squares, k)
        for k in range(channels):
            sums[part, 0, k] += ones[k]
            sums[part, 1, k] += squares[k]


@compiled
def _prepare(
    sums: Any,
    pixels: int,
    eps: float,
    momentum: float,
    statistics: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_variance: Any,
    layer: _Channels,
) -> None:
    for k in range(sums.shape[2]):
        total, squares = 0.0, 0.0
        for part in range(sums.shape[0]):
            total += sums[part, 0, k]
            squares += sums[part, 1, k]
        mean = total / pixels
        variance = squares / pixels - mean * mean
        variance = 0.0 if variance <= 0 else variance  # rounding may make it negative
        inverse = 1 / np.sqrt(variance + eps)
        statistics[0, k], statistics[1, k] = mean, inverse
        layer.scale[k] = weight[k] * inverse
        layer.shift[k] = bias[k] - mean * layer.scale[k]
        unbiased = variance * pixels / max(pixels - 1, 1)
        running_mean[k] += momentum * (mean - running_mean[k])
        running_variance[k] += momentum * (unbiased - running_variance[k])


@compiled
def _normalize(start: int, stop: int, part: int, pooled: Any, layer: _Channels, y: Any) -> None:
    size, channels = pooled.shape[1] * pooled.shape[2] * pooled.shape[3], pooled.shape[3]
    nothing = spread(np.float32(0))
    for pixel in range(start * size, stop * size, channels):
        for k in range(0, channels, LANES):
            value = load(pooled, pixel + k) * load(layer.scale, k) + load(layer.shift, k)
            store(where_greater(nothing, value, nothing, value), y, pixel + k)


@compiled
def _sum_gradients(
    start: int, stop: int, part: int, pooled: Any, g: Any, layer: _Channels, sums: Any
) -> None:
    height, width, channels = pooled.shape[1:]
    nothing = spread(np.float32(0))
    ones = np.empty(channels, np.float32)  # of an image
    products = np.empty(channels, np.float32)
    for i in range(start, stop):
        ones[:] = 0
        products[:] = 0
        for r in range(height):
            for k in range(0, channels, LANES):
                scale, shift = load(layer.scale, k), load(layer.shift, k)
                total, total_products = load(ones, k), load(products, k)
                at = (i * height + r) * width * channels + k
                for _ in range(width):
                    value = load(pooled, at)
                    gradient = where_greater(value * scale + shift, nothing, load(g, at), nothing)
                    total = total + gradient
                    total_products = total_products + gradient * value
                    at += channels
                store(total, ones, k)
                store(total_products, products, k)
        for k in range(channels):
            sums[part, 0, k] += ones[k]
            sums[part, 1, k] += products[k]


@compiled
def _prepare_backward(
    sums: Any, pixels: int, statistics: Any, layer: _Channels, for_weight: Any, for_bias: Any
) -> None:
    for k in range(sums.shape[2]):
        total, products = 0.0, 0.0
        for part in range(sums.shape[0]):
            total += sums[part, 0, k]
            products += sums[part, 1, k]
        mean, inverse = statistics[0, k], statistics[1, k]
        of_weight = (products - mean * total) * inverse
        slope = -layer.scale[k] * inverse * of_weight / pixels
        layer.slope[k] = slope
        layer.level[k] = -layer.scale[k] * total / pixels - slope * mean
        for_weight[k], for_bias[k] = of_weight, total


@compiled
def _propagate(
    start: int, stop: int, part: int, pooled: Any, g: Any, places: Any, layer: _Channels, d: Any
) -> None:
    height, width, channels = d.shape[1:]
    down = width * channels
    size = pooled.shape[2] * channels  # of a row
    nothing = spread(np.float32(0))
    results = np.empty(size, np.float32)
    for i in range(start, stop):
        for r in range(pooled.shape[1]):
            source = (i * pooled.shape[1] + r) * size
            for pixel in range(0, size, channels):
                for k in range(0, channels, LANES):
                    value, scale = load(pooled, source + pixel + k), load(layer.scale, k)
                    lives = value * scale + load(layer.shift, k)
                    g_of_live = where_greater(lives, nothing, load(g, source + pixel + k), nothing)
                    result = scale * g_of_live + load(layer.slope, k) * value + load(layer.level, k)
                    store(result, results, pixel + k)
            # In memory order: four places at once take twice the time on large maps.
            for u in range(2):
                target = (i * height + 2 * r + u) * down
                for pixel in range(0, size, channels):
                    for v in range(2):
                        here = spread(np.float32(2 * u + v))
                        for k in range(0, channels, LANES):
                            place = load(places, source + pixel + k)
                            result = load(results, pixel + k)
                            store(where_equal(place, here, result, nothing), d, target + k)
                        target += channels
        # An odd side's last pixels are in no pool.
        for r in range(2 * pooled.shape[1], height):
            for k in range(0, down, LANES):
                store(nothing, d, (i * height + r) * down + k)
        for c in range(2 * pooled.shape[2], width):
            for r in range(height):
                for k in range(0, channels, LANES):
                    store(nothing, d, ((i * height + r) * width + c) * channels + k)


@compiled
def _propagate_rows(x: Any, g: Any, layer: _Channels, d: Any) -> None:
    channels = x.shape[3]
    nothing = spread(np.float32(0))
    for k in range(0, channels, LANES):
        scale, shift = load(layer.scale, k), load(layer.shift, k)
        slope, level = load(layer.slope, k), load(layer.level, k)
        for at in range(k, x.size, channels):
            value = load(x, at)
            gradient = where_greater(value * scale + shift, nothing, load(g, at), nothing)
            store(scale * gradient + slope * value + level, d, at)
