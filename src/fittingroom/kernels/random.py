"""Random numbers that a kernel computes when it needs them, instead of reading them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba.extending import overload

#: A random number is 32 bits, so a rate is a multiple of 1 / 2³².
LEVELS = 2**32


def draw_seed() -> np.uint32:
    """Draw a seed from torch's global generator, which training seeds and a checkpoint keeps."""
    return np.uint32(int(torch.randint(LEVELS, (1,))))


def keep_threshold(rate: float) -> np.uint32:
    """The threshold below which an element's random number keeps it."""
    return np.uint32(min(round((1 - rate) * LEVELS), LEVELS - 1))


def random_bits(seed: Any, position: Any) -> Any:
    """In a kernel: 32 random bits for an element, determined by its position.

    A counter-based generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"):
    the mixing function is "lowbias32" (Wellons 2018, "Prospecting for hash functions").
    """
    raise NotImplementedError("only in compiled kernels")


@overload(random_bits, inline="always")
def _random_bits(seed: Any, position: Any) -> Any:
    def mix(seed: Any, position: Any) -> Any:
        x = np.uint32(np.uint32(position) + np.uint32(seed))
        x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(16))) * np.uint32(0x7FEB352D))
        x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(15))) * np.uint32(0x846CA68B))
        return np.uint32(x ^ np.uint32(x >> np.uint32(16)))

    return mix
