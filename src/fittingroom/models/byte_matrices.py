"""Products of matrices of bytes by PyTorch, which uses the instructions for them (AMX)."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray


def multiply(left: NDArray[np.int8], right: NDArray[np.int8], out: NDArray[np.int32]) -> None:
    """Write the products (m, n) of rows (m, k) and rows (n, k)."""
    torch._int_mm(*map(torch.from_numpy, (left, right.T)), out=torch.from_numpy(out))


def are_exact(k: int) -> bool:
    """Whether products of rows of so many bytes are exact.

    With other instructions a library may sum pairs of products in 16 bits, which overflow. This is
    tested, since oneDNN can be told to use them (`ONEDNN_MAX_CPU_ISA`). PyTorch 2.13 multiplies
    rows of a single byte wrongly on every machine tested.
    """
    return k > 1 and hasattr(torch, "_int_mm") and _sums_are_exact()


@cache
def _sums_are_exact() -> bool:
    extremes = np.array([-128, 127], np.int8)
    random = np.random.RandomState(0)
    left, right = random.choice(extremes, (64, 784)), random.choice(extremes, (96, 784))
    product = np.empty((64, 96), np.int32)
    multiply(left, right, product)
    return np.array_equal(product, left.astype(np.int32) @ right.T.astype(np.int32))
