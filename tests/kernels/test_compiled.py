from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fittingroom
from fittingroom.kernels.compiled import SMALL, as_float, as_stored, compiled, count_parts, in_parts


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@compiled
def store(x: Any, out: Any) -> None:
    for i in range(len(x)):
        out[i] = as_stored(x[i], out[i])


@compiled
def widen(stored: Any, out: Any) -> None:
    for i in range(len(stored)):
        out[i] = as_float(stored[i])


def test_bfloat16_is_rounded_as_torch_rounds_it() -> None:
    """Every upper half of a float32 but NaN, and what lies between it and the next one."""
    upper = np.arange(2**16, dtype=np.uint32) << 16
    halves = [upper + low for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)]
    numbers = np.concatenate(halves).astype(np.uint32).view(np.float32)
    numbers = numbers[~np.isnan(numbers)]
    stored, widened = np.empty(len(numbers), np.int16), np.empty_like(numbers)
    store(numbers, stored)
    expected = torch.from_numpy(numbers).bfloat16()
    np.testing.assert_array_equal(stored, expected.view(torch.int16).numpy())
    widen(stored, widened)
    np.testing.assert_array_equal(widened, expected.float().numpy())


@pytest.mark.parametrize(("n", "parts"), [(0, 1), (1, 1), (2, 2), (100, 3)])
def test_parts_cover_everything_once(n: int, parts: int) -> None:
    done: list[tuple[int, int, int]] = []

    def kernel(start: int, stop: int, part: int) -> None:
        done.append((part, start, stop))

    in_parts(kernel, n, SMALL)
    assert count_parts(n, SMALL) == len(done) == parts
    assert count_parts(n, SMALL - 1) == 1
    assert [part for part, _, _ in sorted(done)] == list(range(parts))
    assert [i for _, start, stop in sorted(done) for i in range(start, stop)] == list(range(n))


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_in_any_part_is_raised(failing: int) -> None:
    def kernel(start: int, stop: int, part: int) -> None:
        if part == failing:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_parts(kernel, 3, SMALL)


def kernels() -> Iterator[ast.FunctionDef]:
    """The definitions of all compiled functions."""
    for path in Path(fittingroom.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf8"))):
            if isinstance(node, ast.FunctionDef) and {
                each.id for each in node.decorator_list if isinstance(each, ast.Name)
            } & {"compiled", "compiled_within", "_compile_exactly", "_compile_within"}:
                yield node


def test_no_kernel_assigns_arrays() -> None:
    """Numba would compile the message of the error for different shapes: one to two seconds."""
    assert len([*kernels()]) > 25
    found = [
        f"{kernel.name}: {ast.unparse(node)}"
        for kernel in kernels()
        for node in ast.walk(kernel)
        if isinstance(node, ast.Assign)
        and isinstance(target := node.targets[0], ast.Subscript)
        and (
            isinstance(node.value, ast.Tuple)
            or any(isinstance(part, ast.Slice) for part in ast.walk(target.slice))
        )
        and not isinstance(node.value, ast.Constant | ast.UnaryOp)
    ]
    assert found == []
