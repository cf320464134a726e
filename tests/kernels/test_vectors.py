"""Vectors in kernels, held against the same operations on arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fittingroom.kernels.compiled import compiled
from fittingroom.kernels.tensors import view
from fittingroom.kernels.vectors import (
    LANES,
    load,
    spread,
    store,
    where_equal,
    where_greater,
)


@compiled
def combine(x: Any, y: Any, results: Any) -> None:
    a, b, two = load(x, 3), load(y, 0), spread(np.float32(2))
    store(a + b, results, 0)
    store(a - b, results, LANES)
    store(a * b + two, results, 2 * LANES)
    store(where_greater(a, b, a, two), results, 3 * LANES)
    store(where_equal(a, b, a, two), results, 4 * LANES)


@compiled
def copy(x: Any, y: Any) -> None:
    for k in range(0, len(x), LANES):
        store(load(x, k), y, k)


def test_arithmetic_and_choices_equal_numpys() -> None:
    x = np.random.default_rng(0).normal(size=LANES + 3).astype(np.float32)
    a, b = x[3:], np.random.default_rng(1).normal(size=LANES).astype(np.float32)
    a[5], b[5] = 1, 1
    a[6], b[7] = np.nan, np.nan
    results = np.empty((5, LANES), np.float32)
    combine(x, b, results.reshape(-1))
    expected = (
        *(a + b, a - b, a * b + 2),
        *(np.where(a > b, a, 2), np.where(a == b, a, 2)),
    )
    for result, values in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, values, rtol=1e-6, atol=1e-7)


def test_bfloat16_is_widened_and_rounded_as_torch_does() -> None:
    x = torch.randn(64) * 10 ** torch.randint(-20, 20, (64,))
    x[:4] = torch.tensor([0.0, -0.0, torch.inf, 1 + 2**-8])  # the last is a tie
    half = torch.empty(64, dtype=torch.bfloat16)
    copy(x.numpy(), view(half))
    assert torch.equal(half, x.bfloat16())
    wide = torch.empty(64)
    copy(view(half), wide.numpy())
    assert torch.equal(wide, half.float())


def test_bytes_are_whole_numbers() -> None:
    numbers = np.arange(0, 256, 4, dtype=np.uint8)
    floats, back = np.empty(64, np.float32), np.empty(64, np.uint8)
    copy(numbers, floats)
    copy(floats, back)
    np.testing.assert_array_equal(floats, numbers)
    np.testing.assert_array_equal(back, numbers)
