from __future__ import annotations

import numpy as np
import pytest
import torch

from fittingroom.kernels.tensors import can_compile, channels_last, view


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_view_is_the_tensors_memory(dtype: torch.dtype) -> None:
    maps = channels_last(torch.randn(2, 3, 4, 5, requires_grad=True).to(dtype))
    array = view(maps)
    assert array.shape == (2, 4, 5, 3)
    assert array.flags.c_contiguous
    array[1, 2, 3, 0] = 0
    assert maps[1, 0, 2, 3] == 0
    assert (maps != 0).sum() == maps.numel() - 1
    assert array.dtype == (np.float32 if dtype == torch.float32 else np.int16)


def test_which_tensors_kernels_take() -> None:
    x = torch.ones(1)
    taken = {d for d in (torch.float32, torch.bfloat16, torch.float64) if can_compile(x.to(d))}
    assert taken == {torch.float32, torch.bfloat16}
    assert not can_compile(x.to("meta"))
