"""Whether matrix products of 8-bit integers are exact on this machine, as some kernels require."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from fittingroom.kernels.capabilities import multiplies_bytes


def are_exact(n_pixels: int) -> bool:
    """Whether products of rows of so many bytes are exact, and fast.

    Without VNNI instructions a library may sum pairs of products in 16 bits, which overflow. This
    is tested, since oneDNN can be told not to use them (`ONEDNN_MAX_CPU_ISA`). PyTorch 2.13
    multiplies rows of a single byte wrongly on every machine tested.
    """
    return n_pixels > 1 and multiplies_bytes() and _product_is_exact()


@cache
def _product_is_exact() -> bool:
    extremes = np.array([-128, 127], np.int8)
    random = np.random.RandomState(0)
    left, right = random.choice(extremes, (64, 784)), random.choice(extremes, (784, 96))
    product = torch._int_mm(torch.from_numpy(left), torch.from_numpy(right)).numpy()
    return np.array_equal(product, left.astype(np.int32) @ right.astype(np.int32))
