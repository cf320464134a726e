"""Loops over feature maps, compiled by Numba: what PyTorch does slowly on the CPU.

Between two convolutions PyTorch makes one pass over all maps for each small operation, most of them
far below memory bandwidth. A kernel here does the work of several in one pass. It takes NumPy views
of tensors, channels-last; bfloat16, which NumPy lacks, as int16 bits.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload, register_jitable

from fittingroom.kernels.threads import count_threads

F = TypeVar("F", bound=Callable[..., Any])

# fastmath lets sums be vectorised; NaN and infinity keep their meaning.
_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}
#: Elements in a pass over memory below which a second thread costs more than it saves.
SMALL = 2**19


def compiled(function: F) -> F:
    """Compile a kernel at its first call; later processes load it from the cache on disk."""
    return cast(F, njit(cache=True, nogil=True, **_OPTIONS)(function))


def compiled_within(function: F) -> F:
    """Compile a function as part of the kernels that call it; elsewhere it stays plain Python.

    That takes a fifth less time than compiling it as a kernel of its own, with code that converts
    its arguments from Python objects and a file in the cache.
    """
    within: F = register_jitable(**_OPTIONS)(function)
    return within


def instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that emits LLVM code callable from kernels; integers may be literals."""
    return cast(Callable[..., Any], intrinsic(prefer_literal=True)(function))


def in_parts(kernel: Callable[..., None], n: int, elements: int, *arguments: Any) -> None:
    """Call ``kernel(start, stop, part, *arguments)`` for parts of 0 … n, one per thread."""
    n_parts = count_parts(n, elements)
    # Kernels release the GIL, so threads are enough.
    bounds = [n * part // n_parts for part in range(n_parts + 1)]
    futures = [
        _threads(os.getpid()).submit(kernel, bounds[part], bounds[part + 1], part, *arguments)
        for part in range(1, n_parts)
    ]
    kernel(0, bounds[1], 0, *arguments)
    for future in futures:
        future.result()


def count_parts(n: int, elements: int) -> int:
    """The number of parts that ``in_parts`` makes of n images with so many elements in total."""
    return 1 if elements < SMALL else max(1, min(n, count_threads()))


@functools.cache
def _threads(pid: int) -> ThreadPoolExecutor:
    """This process's threads; a forked child doesn't inherit its parent's."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="fittingroom")


def as_float(x: Any) -> Any:
    """In a kernel: convert an element to float32."""
    raise NotImplementedError("only in compiled kernels")


def as_stored(x: Any, like: Any) -> Any:
    """In a kernel: convert a float32 number to the type of the array element ``like``."""
    raise NotImplementedError("only in compiled kernels")


@overload(as_float, inline="always")
def _as_float(x: Any) -> Any:
    def widen(x: Any) -> Any:  # the bits of a bfloat16 are the upper half of a float32's
        return np.int32(np.int32(x) << np.int32(16)).view(np.float32)

    def unchanged(x: Any) -> Any:
        return x

    return widen if isinstance(x, types.Integer) else unchanged


@overload(as_stored, inline="always")
def _as_stored(x: Any, like: Any) -> Any:
    def round_to_bfloat16(x: Any, like: Any) -> Any:
        bits = np.float32(x).view(np.int32)
        to_even = np.int32(0x7FFF) + ((bits >> np.int32(16)) & np.int32(1))
        return np.int16((bits + to_even) >> np.int32(16))

    def unchanged(x: Any, like: Any) -> Any:
        return np.float32(x)

    return round_to_bfloat16 if isinstance(like, types.Integer) else unchanged
