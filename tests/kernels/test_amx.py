from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fittingroom.kernels import amx
from fittingroom.kernels.compiled import compiled
from fittingroom.kernels.tensors import view


@compiled
def multiply_tiles(c: Any, a: Any, b: Any, nothing: Any, shapes: Any) -> None:
    """Add a · b to c, and fill `nothing` from a cleared tile."""
    amx.configure(shapes.ctypes.data)
    amx.load(0, c.ctypes.data, c.strides[0])
    amx.load(1, a.ctypes.data, a.strides[0])
    amx.load(2, b.ctypes.data, b.strides[0])
    amx.multiply(0, 1, 2)
    amx.store(0, c.ctypes.data, c.strides[0])
    amx.clear(1)
    amx.store(1, nothing.ctypes.data, nothing.strides[0])
    amx.release()


@pytest.mark.skipif(not amx.available(), reason="this processor has no AMX")
def test_tiles_are_multiplied_and_added() -> None:
    """Rows may be apart in memory: those of a and c are halves of longer ones."""
    random = np.random.default_rng(0)
    a, b, c = random.integers(-9, 10, (3, 32, 64)).astype(np.float32)
    b = b[:, :16]
    expected = c.copy()
    expected[:16, :16] += a[:16, :32] @ b  # small integers, so nothing is rounded
    pairs = b.reshape(16, 2, 16).swapaxes(1, 2).reshape(16, 32)
    stored = [view(torch.from_numpy(x.copy()).bfloat16()) for x in (a, pairs)]
    nothing = np.ones((16, 16), np.float32)
    multiply_tiles(c, stored[0], stored[1], nothing, amx.full_tile_configuration())
    np.testing.assert_array_equal(c, expected)
    np.testing.assert_array_equal(nothing, 0)


@compiled
def turn_and_pair(source: Any, turned: Any, paired: Any) -> None:
    amx.transpose(source.ctypes.data, source.strides[0], turned.ctypes.data, turned.strides[0])
    amx.interleave(source[0].ctypes.data, source[1].ctypes.data, paired.ctypes.data)


def test_rows_are_transposed_and_interleaved() -> None:
    """Numbers of 32 bits are transposed, their halves interleaved; nothing beyond is written."""
    source = np.random.default_rng(0).integers(-(2**31), 2**31, (16, 20)).astype(np.int32)
    turned, paired = np.full((16, 24), -1, np.int32), np.full(17, -1, np.int32)
    turn_and_pair(source[:, 3:], turned, paired)
    np.testing.assert_array_equal(turned[:, :16], source[:, 3:19].T)
    halves = source[:2, 3:11].copy().view(np.int16)
    np.testing.assert_array_equal(paired[:16].view(np.int16), halves.T.ravel())
    assert (turned[:, 16:] == -1).all()
    assert paired[16] == -1
