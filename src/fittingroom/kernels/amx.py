"""Intel's matrix instructions (AMX), for kernels that Numba compiles.

A tile is a register of 16 rows of 64 bytes. ``multiply(c, a, b)`` adds to c, 16 × 16 float32, the
product of a, 16 × 32 bfloat16, and b, 32 × 16 bfloat16 with its rows in pairs: row p contains the
elements 2p and 2p + 1 of each of 16 columns. Intel, "Architecture Instruction Set Extensions
Programming Reference", chapter 3.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

from fittingroom.kernels import capabilities
from fittingroom.kernels.compiled import instruction

#: Rows of a tile, and columns of a tile of float32.
ROWS = 16
#: Columns of a tile of bfloat16.
COLUMNS = 32

_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
_POINTER = _BYTE.as_pointer()
_REQUEST, _TILE_DATA = 0x1023, 18  # Linux: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
_SYSCALL = 158


@functools.cache
def available() -> bool:
    """Whether the processor has the instructions and the system lets this process use them."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    if not capabilities.multiplies_matrices_of_bfloat16():
        return False
    granted: int = ctypes.CDLL(None).syscall(_SYSCALL, _REQUEST, _TILE_DATA)
    return granted == 0


def full_tile_configuration() -> np.ndarray[Any, Any]:
    """The argument of ``configure``: every tile has 16 rows of 64 bytes."""
    shape = np.zeros(64, np.uint8)
    shape[0] = 1  # the palette
    shape[16:32].view(np.uint16)[:] = 4 * ROWS
    shape[48:56] = ROWS
    return shape


def _emit(context: Any, builder: Any, name: str, *arguments: Any) -> Any:
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    builder.call(function, arguments)
    return context.get_dummy_value()


@instruction
def configure(typing: Any, address: Any) -> Any:
    """In a kernel, before all others: set the tiles' shapes, read from an address."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        shapes = builder.inttoptr(values[0], _POINTER)
        return _emit(context, builder, "llvm.x86.ldtilecfg", shapes)

    return types.void(types.intp), emit


@instruction
def release(typing: Any) -> Any:
    """In a kernel, after all others: release the tiles."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _emit(context, builder, "llvm.x86.tilerelease")

    return types.void(), emit


@instruction
def clear(typing: Any, tile: Any) -> Any:
    """In a kernel: fill a tile (its number, a constant) with zeros."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        # The tile's number is part of the instruction, so it must be known at compile time.
        return _emit(context, builder, "llvm.x86.tilezero", _BYTE(tile.literal_value))

    return types.void(tile), emit


@instruction
def load(typing: Any, tile: Any, address: Any, stride: Any) -> Any:
    """In a kernel: fill a tile from rows ``stride`` bytes apart."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        start = builder.inttoptr(values[1], _POINTER)
        number = _BYTE(tile.literal_value)
        return _emit(context, builder, "llvm.x86.tileloadd64", number, start, values[2])

    return types.void(tile, types.intp, types.intp), emit


@instruction
def store(typing: Any, tile: Any, address: Any, stride: Any) -> Any:
    """In a kernel: write a tile to rows ``stride`` bytes apart."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        start = builder.inttoptr(values[1], _POINTER)
        number = _BYTE(tile.literal_value)
        return _emit(context, builder, "llvm.x86.tilestored64", number, start, values[2])

    return types.void(tile, types.intp, types.intp), emit


@instruction
def multiply(typing: Any, c: Any, a: Any, b: Any) -> Any:
    """In a kernel: c += a · b for tiles."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        numbers = [_BYTE(tile.literal_value) for tile in (c, a, b)]
        return _emit(context, builder, "llvm.x86.tdpbf16ps", *numbers)

    return types.void(c, a, b), emit


@instruction
def transpose(typing: Any, source: Any, step: Any, target: Any, stride: Any) -> Any:
    """In a kernel: transpose 16 × 16 numbers of 32 bits, from rows ``step`` bytes apart.

    Four rounds exchange halves, quarters, eighths and sixteenths of pairs of rows.
    """

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        row = ir.VectorType(ir.IntType(32), ROWS)

        def place(address: Any, apart: Any, number: int) -> Any:
            start = builder.add(address, builder.mul(apart, _WORD(number)))
            return builder.inttoptr(start, row.as_pointer())

        # In each round, rows i and i + half exchange the parts off the diagonal of their blocks of
        # 2 · half; after the last round every row is a column.
        rows = [builder.load(place(values[0], values[1], i), align=1) for i in range(ROWS)]
        for half in (8, 4, 2, 1):
            exchanged = list(rows)
            for i in (i for i in range(ROWS) if not i & half):
                # A shuffle takes numbers 0 … 15 from the first row and 16 … 31 from the second.
                low = [j if not j & half else j - half + ROWS for j in range(ROWS)]
                high = [j + half if not j & half else j + ROWS for j in range(ROWS)]
                pair = rows[i], rows[i + half]
                for into, mask in ((i, low), (i + half, high)):
                    indices = ir.Constant(ir.VectorType(ir.IntType(32), ROWS), mask)
                    exchanged[into] = builder.shuffle_vector(*pair, indices)
            rows = exchanged
        for i, values_of_row in enumerate(rows):
            builder.store(values_of_row, place(values[2], values[3], i), align=1)
        return context.get_dummy_value()

    signature = types.void(types.intp, types.intp, types.intp, types.intp)
    return signature, emit


@instruction
def interleave(typing: Any, first: Any, second: Any, target: Any) -> Any:
    """In a kernel: interleave two rows of 16 numbers of 16 bits into 16 pairs, by address."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        narrow, wide = (ir.VectorType(ir.IntType(bits), ROWS) for bits in (16, 32))
        low, high = (
            builder.zext(builder.load(builder.inttoptr(value, narrow.as_pointer()), align=1), wide)
            for value in values[:2]
        )
        pairs = builder.or_(low, builder.shl(high, ir.Constant(wide, [16] * ROWS)))
        builder.store(pairs, builder.inttoptr(values[2], wide.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), emit
