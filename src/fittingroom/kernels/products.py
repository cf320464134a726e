"""Matrix products for kernels: of small matrices, whose rows may lie anywhere in memory.

A convolution of a small map is one product of its pixels' neighbourhoods and its kernel, if the
rows of a matrix needn't be next to each other: then nothing is copied before. A dense layer, and
the gradients of both, are products of the same kind.

    c[i] = max(floor, start[i] + Σ a[i, k] · b[k])        k = 0 … outer · inner - 1

A row of c and of b is a number of vectors of 16 float32; a row of a has an address of its own. Or
the numbers of a and b are bfloat16, two of successive k together in the place of one float32: each
instruction then adds two products. Or four bytes of successive k are together, those of a signed
and those of b not, and c is of int32: an instruction adds four products, exactly.
Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication": a tile of c stays
in registers while k runs, and each number of a meets several vectors of b.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils

from fittingroom.kernels import capabilities
from fittingroom.kernels.compiled import compiled, compiled_within, instruction

#: Numbers of a vector.
LANES = 16
#: Rows of a tile that is four vectors wide, and of one that is two or one: its sums, a row of b and
#: a number of a fit in the 32 registers of AVX-512.
WIDE, TALL = 6, 8
#: A table of rows has a multiple of both.
ROWS = 24

# Also for kernels that are compiled with a tile that comes from the cache.
binding.initialize_native_asmparser()

# Variables of emitted code, which become registers.
new: Any = cgutils.alloca_once
variable: Any = cgutils.alloca_once_value

#: What a and b may consist of.
FLOATS, PAIRS, BYTES = 0, 1, 2

_FLOAT, _INTEGER, _WORD = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR, _INTEGERS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INTEGER, LANES)


class Product(NamedTuple):
    """One product: addresses, and distances in bytes."""

    a: int
    a_rows: int  # address of int64 (rows rounded up to ROWS,): offsets of a's rows
    rows: int
    a_step: int  # from a number of a row to the next
    a_jump: int  # what is added to that after every `inner` numbers
    b: int
    b_step: int  # from a row of b to the next
    inner: int
    outer: int
    c: int
    c_rows: int  # as a_rows; rows beyond the last are written, too
    start: int  # the row that every sum starts from, or 0 to add to c
    vectors: int  # in a row of b and c
    rectify: int  # 1 for a floor of 0, 0 for none
    paired: int = 0  # 1 if a and b are pairs of bfloat16; `inner` counts pairs, or quads of bytes


#: Where a product's array holds what `multiply` itself reads.
_N_ROWS, _N_VECTORS, _PAIRED = (Product._fields.index(n) for n in ("rows", "vectors", "paired"))


def as_array(products: Sequence[Product]) -> np.ndarray[Any, Any]:
    """The argument of ``multiply``: int64 (products, fields)."""
    return np.array(products, np.int64).reshape(len(products), len(Product._fields))


def row_table(offsets: Sequence[int] | np.ndarray[Any, Any], beyond: int) -> np.ndarray[Any, Any]:
    """Offsets of rows (rows,) in bytes; ``beyond`` is that of the rows that fill the last tile."""
    table = np.full(-(-len(offsets) // ROWS) * ROWS, beyond, np.int64)
    table[: len(offsets)] = offsets
    return table


def padded(width: int) -> int:
    """A width rounded up to full vectors."""
    return -(-width // LANES) * LANES


class _Code:
    """Emits the code of a tile, for one kind of numbers."""

    def __init__(self, builder: Any, address: Any, kind: int) -> None:
        self.builder = builder
        self.number, self.vector = (_INTEGER, _INTEGERS) if kind == BYTES else (_FLOAT, _VECTOR)
        self.add = (self.add_product, self.add_both_products, self.add_four_products)[kind]
        self.fields = Product(
            *(self.load(address, 8 * i, _WORD) for i in range(len(Product._fields)))
        )

    def load(self, start: Any, offset: int, kind: Any) -> Any:
        return self.builder.load(self._at(start, offset, kind), align=8 if kind is _WORD else 4)

    def store(self, vector: Any, start: Any, offset: int) -> None:
        self.builder.store(vector, self._at(start, offset, self.vector), align=4)

    def _at(self, start: Any, offset: int, kind: Any) -> Any:
        return self.builder.inttoptr(self.builder.add(start, _WORD(offset)), kind.as_pointer())

    def rows(self, base: Any, table: Any, first: Any, n: int) -> list[Any]:
        """The addresses of some rows of a matrix, given its address and that of its table."""
        entry = self.builder.add(table, self.builder.mul(first, _WORD(8)))
        return [self.builder.add(base, self.load(entry, 8 * i, _WORD)) for i in range(n)]

    def in_all_lanes(self, number: Any) -> Any:
        nothing = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(nothing, number, ir.IntType(32)(0))
        zeros = ir.Constant(_INTEGERS, [0] * LANES)
        return self.builder.shuffle_vector(one, nothing, zeros)

    def add_products(self, sums: list[list[Any]], rows_of_a: list[Any], b: Any) -> None:
        """Emit the loops over k; ``sums`` are variables by row and vector, ``b`` an address."""
        builder, p = self.builder, self.fields
        row_of_b, along = variable(builder, b), variable(builder, _WORD(0))
        with cgutils.for_range(builder, p.outer):
            with cgutils.for_range(builder, p.inner):
                here, offset = builder.load(row_of_b), builder.load(along)
                vectors = [self.load(here, 4 * LANES * v, self.vector) for v in range(len(sums[0]))]
                for line, row in zip(sums, rows_of_a, strict=True):
                    number = self.in_all_lanes(self.load(builder.add(row, offset), 0, self.number))
                    for total, vector in zip(line, vectors, strict=True):
                        builder.store(self.add(builder.load(total), number, vector), total)
                builder.store(builder.add(here, p.b_step), row_of_b)
                builder.store(builder.add(offset, p.a_step), along)
            builder.store(builder.add(builder.load(along), p.a_jump), along)

    def add_product(self, total: Any, a: Any, b: Any) -> Any:
        term = self.builder.fmul(a, b, flags=("contract",))
        return self.builder.fadd(term, total, flags=("contract",))

    def add_both_products(self, total: Any, a: Any, b: Any) -> Any:
        """The same for vectors of pairs of bfloat16."""
        if capabilities.multiplies_pairs():
            return self._instruct("vdpbf16ps", total, a, b)
        for high in (False, True):  # a bfloat16 is the upper half of a float32
            halves = []
            for vector in (a, b):
                pair = self.builder.bitcast(vector, _INTEGERS)
                if high:
                    half = self.builder.and_(pair, ir.Constant(_INTEGERS, [-65536] * LANES))
                else:
                    half = self.builder.shl(pair, ir.Constant(_INTEGERS, [16] * LANES))
                halves.append(self.builder.bitcast(half, _VECTOR))
            total = self.add_product(total, *halves)
        return total

    def add_four_products(self, total: Any, a: Any, b: Any) -> Any:
        """The same for vectors of four bytes, where the processor has an instruction for them."""
        return self._instruct("vpdpbusd", total, b, a)

    def _instruct(self, name: str, total: Any, left: Any, right: Any) -> Any:
        # Not LLVM's intrinsic, whose types differ from version to version.
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        operands = f"{name} $2, $1, $0", "=v,v,v,0"
        return self.builder.asm(kind, *operands, [left, right, total], False)

    def rectified(self, vector: Any) -> Any:
        """The vector, but at least zero if the product says so; NaN stays NaN."""
        if self.number is not _FLOAT:
            return vector
        bounds = (ir.Constant(_FLOAT, bound) for bound in (0.0, float("-inf")))
        rectify = self.builder.icmp_unsigned("!=", self.fields.rectify, _WORD(0))
        floor = self.in_all_lanes(self.builder.select(rectify, *bounds))
        return self.builder.select(self.builder.fcmp_ordered("<", vector, floor), floor, vector)


@instruction
def multiply_tile(
    typing: Any, rows: Any, vectors: Any, kind: Any, product: Any, first: Any, skipped: Any
) -> Any:
    """In a kernel: the tile of c of some rows from ``first`` and vectors from ``skipped`` bytes on.

    ``rows``, ``vectors`` and ``kind`` are constants, ``product`` is the address of a `Product`'s
    fields. Emitted by hand, since a compiler doesn't keep a tile in registers.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        n_rows, n_vectors, numbers = (constant.literal_value for constant in signature.args[:3])
        address, first, skipped = values[3:]
        code = _Code(builder, address, numbers)
        p = code.fields
        rows_of_a = code.rows(p.a, p.a_rows, first, n_rows)
        rows_of_c = code.rows(builder.add(p.c, skipped), p.c_rows, first, n_rows)
        adds, start = builder.icmp_unsigned("==", p.start, _WORD(0)), builder.add(p.start, skipped)
        sums = [[new(builder, code.vector) for _ in range(n_vectors)] for _ in range(n_rows)]
        for line, row in zip(sums, rows_of_c, strict=True):
            source = builder.select(adds, row, start)
            for v, total in enumerate(line):
                builder.store(code.load(source, 4 * LANES * v, code.vector), total)
        code.add_products(sums, rows_of_a, builder.add(p.b, skipped))
        for line, row in zip(sums, rows_of_c, strict=True):
            for v, total in enumerate(line):
                code.store(code.rectified(builder.load(total)), row, 4 * LANES * v)
        return context.get_dummy_value()

    return types.void(rows, vectors, kind, types.intp, types.intp, types.intp), emit


@compiled_within
def _multiply_paired(wide: int, product: int, first: int, skipped: int) -> None:
    if wide == 4:
        multiply_tile(WIDE, 4, PAIRS, product, first, skipped)
    elif wide == 2:
        multiply_tile(TALL, 2, PAIRS, product, first, skipped)
    else:
        multiply_tile(TALL, 1, PAIRS, product, first, skipped)


@compiled
def multiply(products: Any) -> None:
    """Take products, int64 (products, fields) as ``as_array`` makes them, one after the other."""
    for p in range(len(products)):
        product = products.ctypes.data + p * products.strides[0]
        rows, vectors = products[p, _N_ROWS], products[p, _N_VECTORS]
        paired = products[p, _PAIRED]
        v = 0
        while v < vectors:  # a column of tiles at a time, so that its part of b stays in the cache
            wide = 4 if vectors - v >= 4 else 2 if vectors - v >= 2 else 1
            for i in range(0, rows, WIDE if wide == 4 else TALL):
                if paired:
                    _multiply_paired(wide, product, i, 4 * LANES * v)
                elif wide == 4:
                    multiply_tile(WIDE, 4, FLOATS, product, i, 4 * LANES * v)
                elif wide == 2:
                    multiply_tile(TALL, 2, FLOATS, product, i, 4 * LANES * v)
                else:
                    multiply_tile(TALL, 1, FLOATS, product, i, 4 * LANES * v)
            v += wide


@compiled
def multiply_bytes(product: Any) -> None:
    """Take a product of bytes, int64 (fields,), whose b and c are four vectors wide."""
    for first in range(0, product[_N_ROWS], WIDE):
        multiply_tile(WIDE, 4, BYTES, product.ctypes.data, first, 0)
