from __future__ import annotations

import numpy as np
import torch

from fittingroom.training.compiled_step.arrays import zeros


def test_zeros_start_with_a_cache_line() -> None:
    arrays = [zeros(3, n) for n in range(1, 20)]
    assert all(array.ctypes.data % 64 == 0 for array in arrays)
    assert arrays[4].shape == (3, 5)
    assert arrays[4].dtype == np.float32
    assert zeros(2, dtype=torch.int16).dtype == np.int16
    assert not any(array.any() for array in arrays)
