from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numba import njit

from fittingroom.kernels import capabilities
from fittingroom.kernels.products import (
    LANES,
    ROWS,
    Product,
    as_array,
    multiply,
    multiply_tile,
    padded,
    row_table,
)
from fittingroom.kernels.tensors import view

Array = np.ndarray[Any, Any]


class Matrices:
    """A product of random small integers, which nothing rounds, with a spare row after c."""

    def __init__(self, rows: int, length: int, width: int) -> None:
        random = np.random.default_rng(0)
        self.lanes = padded(width)
        self.a = random.integers(-9, 10, (rows, length)).astype(np.float32)
        self.b = random.integers(-9, 10, (length, self.lanes)).astype(np.float32)
        self.c = random.integers(-9, 10, (rows + 1, self.lanes)).astype(np.float32)
        self.start = random.integers(-9, 10, self.lanes).astype(np.float32)
        # In the opposite order, since rows may lie anywhere.
        self.order = np.arange(rows)[::-1]
        self.tables = (
            row_table(self.order * self.a.strides[0], 0),
            row_table(self.order * self.c.strides[0], rows * self.c.strides[0]),
        )

    def product(self, **fields: int) -> Product:
        rows, length = self.a.shape
        product = Product(
            a=self.a.ctypes.data,
            a_rows=self.tables[0].ctypes.data,
            rows=rows,
            a_step=4,
            a_jump=0,
            b=self.b.ctypes.data,
            b_step=self.b.strides[0],
            inner=length,
            outer=1,
            c=self.c.ctypes.data,
            c_rows=self.tables[1].ctypes.data,
            start=self.start.ctypes.data,
            vectors=self.lanes // LANES,
            rectify=0,
        )
        return product._replace(**fields)


@pytest.mark.parametrize("rows", [1, 6, 13, 24, 25])
@pytest.mark.parametrize("width", [10, 32, 64, 112])
def test_products_equal_numpys(rows: int, width: int) -> None:
    m = Matrices(rows, 7, width)
    multiply(as_array([m.product()]))
    np.testing.assert_array_equal(m.c[:-1], m.start + m.a @ m.b)


def as_pairs(numbers: Array) -> Array:
    """Rows (n, width) of float32 as rows (n / 2, width) of pairs of bfloat16."""
    bits = view(torch.from_numpy(numbers.copy()).bfloat16()).view(np.uint16).astype(np.uint32)
    pairs: Array = bits[::2] | bits[1::2] << 16
    return pairs


@pytest.mark.parametrize("width", [10, 32, 64])
def test_pairs_of_bfloat16_equal_float32(width: int) -> None:
    m = Matrices(13, 6, width)
    a, b = as_pairs(m.a.T).T.copy(), as_pairs(m.b)
    table = row_table(m.order * a.strides[0], 0)
    of_pairs = {"a": a.ctypes.data, "a_rows": table.ctypes.data, "b": b.ctypes.data}
    multiply(as_array([m.product(**of_pairs, inner=3, paired=1)]))
    np.testing.assert_array_equal(m.c[:-1], m.start + m.a @ m.b)


def test_pairs_are_multiplied_without_an_instruction_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capabilities, "multiplies_pairs", lambda: False)

    @njit
    def one_tile(products: Any) -> None:
        multiply_tile(8, 1, 1, products.ctypes.data, 0, 0)

    m = Matrices(8, 6, 16)
    a, b = as_pairs(m.a.T).T.copy(), as_pairs(m.b)
    table = row_table(m.order * a.strides[0], 0)
    of_pairs = {"a": a.ctypes.data, "a_rows": table.ctypes.data, "b": b.ctypes.data}
    one_tile(as_array([m.product(**of_pairs, inner=3, paired=1)]))
    np.testing.assert_array_equal(m.c[:-1], m.start + m.a @ m.b)


def test_they_are_added_to_what_is_there() -> None:
    m = Matrices(9, 5, 48)
    expected = m.c[:-1] + 2 * m.a @ m.b
    multiply(as_array([m.product(start=0)] * 2))
    np.testing.assert_array_equal(m.c[:-1], expected)


def test_they_are_rectified_but_nan_stays() -> None:
    m = Matrices(8, 5, 16)
    m.a[3] = np.nan
    multiply(as_array([m.product(rectify=1)]))
    expected = np.maximum(m.start + m.a @ m.b, 0)
    assert (expected == 0).any()
    np.testing.assert_array_equal(m.c[:-1], expected)
    assert np.isnan(m.c[3]).all()


def test_a_row_may_be_in_pieces() -> None:
    """Two numbers, one left out, two numbers."""
    m = Matrices(7, 5, 32)
    multiply(as_array([m.product(inner=2, outer=2, a_jump=4)]))
    np.testing.assert_array_equal(m.c[:-1], m.start + m.a[:, [0, 1, 3, 4]] @ m.b[:4])


def test_a_table_of_rows_ends_with_rows_that_nobody_reads() -> None:
    table = row_table([3, 5], 7)
    assert len(table) == ROWS
    assert table.tolist() == [3, 5] + [7] * (ROWS - 2)
    assert len(row_table(range(ROWS), 7)) == ROWS
