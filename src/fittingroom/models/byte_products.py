"""Whether products of eight-bit numbers are exact here, as kernels of ours rely on."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch


def are_exact(n_pixels: int) -> bool:
    """Whether rows of so many bytes are multiplied without rounding, and fast.

    Without instructions for it a library may add pairs of products up in 16 bits, which overflow.
    It is tried, since oneDNN may be told to leave such instructions alone (`ONEDNN_MAX_CPU_ISA`).
    Rows of a single byte are multiplied wrongly by PyTorch 2.13 wherever it was tried.
    """
    return n_pixels > 1 and torch.cpu._is_vnni_supported() and _tried()


@cache
def _tried() -> bool:
    extremes = np.array([-128, 127], np.int8)
    random = np.random.RandomState(0)
    left, right = random.choice(extremes, (64, 784)), random.choice(extremes, (784, 96))
    product = torch._int_mm(torch.from_numpy(left), torch.from_numpy(right)).numpy()
    return np.array_equal(product, left.astype(np.int32) @ right.astype(np.int32))
