"""Random numbers that a kernel computes where it needs them, instead of reading them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba.extending import overload

#: A random number is 32 bits, so a rate is a multiple of 1 / 2³².
LEVELS = 2**32


def draw_seed() -> np.uint32:
    """A seed from torch's global generator, which a training sets and a checkpoint keeps."""
    return np.uint32(int(torch.randint(LEVELS, (1,))))


def kept_levels(rate: float) -> np.uint32:
    """An element is kept if its random number lies below this."""
    return np.uint32(min(round((1 - rate) * LEVELS), LEVELS - 1))


def random_bits(seed: Any, position: Any) -> Any:
    """In a kernel: 32 random bits for an element, by its position; the same bits each time.

    A counter-based generator (Salmon and others 2011, "Parallel random numbers: as easy as 1, 2,
    3"): the mixing function is "lowbias32" (Wellons 2018, "Prospecting for hash functions").
    """
    raise NotImplementedError("only in compiled kernels")


@overload(random_bits, inline="always")
def _random_bits(seed: Any, position: Any) -> Any:
    def mixed(seed: Any, position: Any) -> Any:
        x = np.uint32(np.uint32(position) + np.uint32(seed))
        x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(16))) * np.uint32(0x7FEB352D))
        x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(15))) * np.uint32(0x846CA68B))
        return np.uint32(x ^ np.uint32(x >> np.uint32(16)))

    return mixed
