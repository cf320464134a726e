"""Vectors of 16 float32 numbers, for kernels whose inner loops are too short for a compiler.

A compiler vectorises a loop over channels with tests before it and a remainder after it, which cost
more than 32 channels do. A ``Vector`` is a value in a kernel: it has ``+``, ``-`` and ``*``, and is
a register of a processor with AVX-512, or several narrower ones.

Arrays are contiguous and addressed by the position of an element, counted from their first: float32
as they are, int16 as the bits of bfloat16, uint8 as whole numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import models, overload, register_model

from fittingroom.kernels.compiled import instruction

#: Numbers of a vector.
LANES = 16

_NUMBERS = ir.VectorType(ir.FloatType(), LANES)
_BITS = ir.VectorType(ir.IntType(32), LANES)
_FLAGS = ("contract", "reassoc", "nsz")


class _VectorType(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Vector")


VECTOR = _VectorType()


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _NUMBERS)  # type: ignore[no-untyped-call]


def _constant(number: int) -> Any:
    return ir.Constant(_BITS, [number] * LANES)


def _in_all_lanes(builder: Any, number: Any) -> Any:
    nothing = ir.Constant(_NUMBERS, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(one, nothing, _constant(0))


def _pointer(context: Any, builder: Any, kind: Any, array: Any, position: Any) -> tuple[Any, Any]:
    """A pointer to 16 elements of an array, and the type of one."""
    element = context.get_data_type(kind.dtype)
    data = context.make_array(kind)(context, builder, array).data
    first = builder.gep(data, [position])
    return builder.bitcast(first, ir.VectorType(element, LANES).as_pointer()), element


@instruction
def spread(typing: Any, number: Any) -> Any:
    """In a kernel: a vector with a float32 number in all lanes."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _in_all_lanes(builder, values[0])

    return VECTOR(types.float32), emit


@instruction
def load(typing: Any, array: Any, position: Any) -> Any:
    """In a kernel: the 16 elements of an array that start at a position."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place, element = _pointer(context, builder, signature.args[0], *values)
        stored = builder.load(place, align=signature.args[0].dtype.bitwidth // 8)
        if element == ir.FloatType():
            return stored
        widened = builder.zext(stored, _BITS)
        if element == ir.IntType(8):
            return builder.uitofp(widened, _NUMBERS)
        return builder.bitcast(builder.shl(widened, _constant(16)), _NUMBERS)

    return VECTOR(array, types.intp), emit


@instruction
def store(typing: Any, vector: Any, array: Any, position: Any) -> Any:
    """In a kernel: write a vector to an array, rounded to the type of its elements."""

    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        vector, *target = values
        place, element = _pointer(context, builder, signature.args[1], *target)
        if element == ir.IntType(8):
            vector = builder.fptoui(vector, ir.VectorType(element, LANES))
        elif element == ir.IntType(16):  # bfloat16, to the nearest, ties to even
            bits = builder.bitcast(vector, _BITS)
            odd = builder.and_(builder.lshr(bits, _constant(16)), _constant(1))
            rounded = builder.add(builder.add(bits, _constant(0x7FFF)), odd)
            upper = builder.lshr(rounded, _constant(16))
            vector = builder.trunc(upper, ir.VectorType(element, LANES))
        builder.store(vector, place, align=signature.args[1].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(VECTOR, array, types.intp), emit


@instruction
def where_greater(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """In a kernel: x in the lanes where a > b, y elsewhere, also where a or b is NaN."""
    return VECTOR(VECTOR, VECTOR, VECTOR, VECTOR), _emit_choice(">")


@instruction
def where_equal(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """In a kernel: x in the lanes where a = b, y elsewhere."""
    return VECTOR(VECTOR, VECTOR, VECTOR, VECTOR), _emit_choice("==")


def _emit_choice(comparison: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a, b, x, y = values
        return builder.select(builder.fcmp_ordered(comparison, a, b), x, y)

    return emit


def _operation(name: str) -> Any:
    """An instruction of two vectors, named as the method of LLVM's builder."""

    def typed(typing: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return getattr(builder, name)(*values, flags=_FLAGS)

        return VECTOR(VECTOR, VECTOR), emit

    return instruction(typed)


def _overload(symbol: Any, name: str) -> None:
    operation = _operation(name)

    def of_vectors(a: Any, b: Any) -> Any:
        return operation(a, b)

    @overload(symbol, inline="always")
    def _(a: Any, b: Any) -> Any:
        return of_vectors if isinstance(a, _VectorType) and isinstance(b, _VectorType) else None


_overload(operator.add, "fadd")
_overload(operator.sub, "fsub")
_overload(operator.mul, "fmul")
