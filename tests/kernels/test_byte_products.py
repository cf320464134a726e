"""Products of real images, against those of 64-bit integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.kernels import capabilities
from fittingroom.kernels.byte_products import PANEL, QUAD, B, ByteProduct, C, arrange, signed_rows
from fittingroom.kernels.products import WIDE, multiply_bytes

needs_instructions = pytest.mark.skipif(
    not capabilities.multiplies_bytes(), reason="no instructions for bytes"
)


def multiply(signed: np.ndarray, unsigned: np.ndarray, result: np.ndarray, **options: Any) -> None:
    """Write the products of rows (m, k) and rows (n, k) to int32 (full tiles, full panels)."""
    panels, rows = arrange(unsigned), signed_rows(*signed.shape)
    rows[: len(signed), : signed.shape[1]] = signed
    offsets = rows.shape[1] * np.arange(len(rows))
    row = result.strides[0]
    quads = panels.shape[1]
    product = ByteProduct(rows, offsets, step=QUAD, quads=quads, result_row=row, **options)
    for number, panel in enumerate(panels):
        product.fields[[B, C]] = panel.ctypes.data, result.ctypes.data + 4 * PANEL * number
        multiply_bytes(product.fields)


@needs_instructions
@pytest.mark.parametrize("n_pixels", [1, 4, 783, 784])
@pytest.mark.parametrize(("m", "n"), [(1, 1), (6, 64), (31, 130)])
def test_products_are_exact(n_pixels: int, m: int, n: int, small: Dataset) -> None:
    unsigned = small.train.images[:n].reshape(n, -1)[:, 784 - n_pixels :]
    signed = (small.test.images[:m].reshape(m, -1)[:, 784 - n_pixels :] ^ 0x80).view(np.int8)
    result = np.full((-(-m // WIDE) * WIDE, -(-n // PANEL) * PANEL), -1, np.int32)
    multiply(signed, unsigned, result)
    expected = signed.astype(np.int64) @ unsigned.T.astype(np.int64)
    np.testing.assert_array_equal(result[:m, :n], expected)
    assert not result[m:].any()
    assert not result[:, n:].any()
    multiply(signed, unsigned, result, adds=True)
    np.testing.assert_array_equal(result[:m, :n], 2 * expected)


@needs_instructions
@pytest.mark.parametrize("extreme", [-128, 127])
def test_the_largest_products_dont_overflow(extreme: int) -> None:
    """Of the largest images whose neighbours are searched by bytes."""
    signed = np.full((1, 2**15), extreme, np.int8)
    unsigned = np.full((1, 2**15), 255, np.uint8)
    result = np.zeros((WIDE, PANEL), np.int32)
    multiply(signed, unsigned, result)
    assert result[0, 0] == extreme * 255 * 2**15


def test_numbers_are_arranged_four_by_four() -> None:
    numbers = np.arange(65 * 5, dtype=np.int64).astype(np.uint8).reshape(65, 5)
    panels = arrange(numbers)
    assert panels.shape == (2, 2, PANEL, QUAD)
    assert panels.flags.c_contiguous
    np.testing.assert_array_equal(panels[0, 0], numbers[:64, :4])
    np.testing.assert_array_equal(panels[0, 1], np.pad(numbers[:64, 4:], ((0, 0), (0, 3))))
    np.testing.assert_array_equal(panels[1, 0, 0], numbers[64, :4])
    assert not panels[1, :, 1:].any()
