from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fittingroom.kernels.compiled import compiled
from fittingroom.kernels.random import LEVELS, draw_seed, keep_threshold, random_bits


@compiled
def fill(seed: Any, first: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = random_bits(seed, first + i)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("first", [0, 2**32 - 50, 2**33 - 50])
def test_the_bits_are_those_of_lowbias32(seed: int, first: int) -> None:
    """In Python's unlimited integers; positions beyond 32 bits begin again."""
    out = np.empty(100, np.uint32)
    fill(np.uint32(seed), first, out)
    for i, bits in enumerate(out.tolist()):
        x = (first + i + seed) % LEVELS
        x = ((x ^ x >> 16) * 0x7FEB352D) % LEVELS
        x = ((x ^ x >> 15) * 0x846CA68B) % LEVELS
        assert bits == x ^ x >> 16


def test_seeds_come_from_torchs_generator() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        seeds = [int(draw_seed()) for _ in range(200)]
        torch.manual_seed(3)
        assert [int(draw_seed()) for _ in range(200)] == seeds
    assert max(seeds) > 2**31  # all 32 bits are drawn


def test_a_threshold_keeps_its_share_and_never_overflows() -> None:
    bits = np.empty(2**20, np.uint32)
    fill(np.uint32(7), 0, bits)
    for rate in (0.1, 0.25, 0.5):
        # A share of a million draws has a standard deviation of at most 0.0005.
        assert float((bits < keep_threshold(rate)).mean()) == pytest.approx(1 - rate, abs=0.0025)
    assert keep_threshold(0.0) == keep_threshold(1e-12) == LEVELS - 1
    assert keep_threshold(1.0) == 0
