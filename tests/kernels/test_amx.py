from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fittingroom.kernels import amx
from fittingroom.kernels.amx import (
    COLUMNS,
    ROWS,
    clear,
    configure,
    interleave,
    load,
    multiply,
    release,
    store,
    transpose,
)
from fittingroom.kernels.compiled import compiled, view


@compiled
def multiply_tiles(c: Any, a: Any, b: Any, nothing: Any, shapes: Any) -> None:
    """Add a · b to c, and fill `nothing` from a cleared tile."""
    configure(shapes.ctypes.data)
    load(0, c.ctypes.data, c.strides[0])
    load(1, a.ctypes.data, a.strides[0])
    load(2, b.ctypes.data, b.strides[0])
    multiply(0, 1, 2)
    store(0, c.ctypes.data, c.strides[0])
    clear(1)
    store(1, nothing.ctypes.data, nothing.strides[0])
    release()


@pytest.mark.skipif(not amx.available(), reason="this processor has no AMX")
def test_tiles_are_multiplied_and_added() -> None:
    """Rows may be apart in memory: these are the left halves of wider arrays."""
    random = np.random.default_rng(0)
    a = random.integers(-9, 10, (ROWS, 2 * COLUMNS)).astype(np.float32)
    b = random.integers(-9, 10, (COLUMNS, ROWS)).astype(np.float32)
    c = random.integers(-9, 10, (ROWS, 2 * ROWS)).astype(np.float32)
    expected = c.copy()
    expected[:, :ROWS] += a[:, :COLUMNS] @ b  # small integers, so nothing is rounded
    pairs = b.reshape(COLUMNS // 2, 2, ROWS).swapaxes(1, 2).reshape(ROWS, COLUMNS)
    stored = [view(torch.from_numpy(x.copy()).bfloat16()) for x in (a, pairs)]
    nothing = np.ones((ROWS, ROWS), np.float32)
    multiply_tiles(c, *stored, nothing, amx.full_tile_configuration())
    np.testing.assert_array_equal(c, expected)
    np.testing.assert_array_equal(nothing, 0)


@compiled
def turn(source: Any, target: Any) -> None:
    transpose(source.ctypes.data, source.strides[0], target.ctypes.data, target.strides[0])


def test_sixteen_rows_are_transposed() -> None:
    wide = np.arange(16 * 20, dtype=np.int32).reshape(16, 20)
    target = np.full((16, 24), -1, np.int32)
    turn(wide[:, 3:], target)
    np.testing.assert_array_equal(target[:, :16], wide[:, 3:19].T)
    np.testing.assert_array_equal(target[:, 16:], -1)


@compiled
def pair(first: Any, second: Any, target: Any) -> None:
    interleave(first.ctypes.data, second.ctypes.data, target.ctypes.data)


def test_two_rows_are_interleaved() -> None:
    """Negative numbers too, whose bits must not reach into their neighbours."""
    rows = np.random.default_rng(0).integers(-(2**15), 2**15, (2, 16)).astype(np.int16)
    target = np.zeros(17, np.int32)
    pair(rows[0], rows[1], target)
    np.testing.assert_array_equal(target.view(np.int16)[:32], rows.T.ravel())
    assert target[16] == 0
