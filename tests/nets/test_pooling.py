from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from fittingroom.nets.pooling import MaxPool


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sides", [(8, 8), (7, 9), (2, 3)])
def test_output_and_gradient_equal_torchs(
    relu: bool, dtype: torch.dtype, sides: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    # Few levels, so that many maxima are tied: the first of them gets the gradient.
    x = (torch.randn(13, 6, *sides) * 2).round().to(dtype)
    ours, torchs = (x.clone().requires_grad_() for _ in range(2))
    y = MaxPool(relu=relu)(ours)
    expected = F.max_pool2d(torchs, 2)
    expected = F.relu(expected) if relu else expected
    assert torch.equal(y, expected)
    g = torch.randn_like(expected)
    torch.autograd.backward((y, expected), (g, g))
    assert ours.grad is not None
    assert torchs.grad is not None
    assert torch.equal(ours.grad, torchs.grad)


def test_large_maps_are_pooled_by_every_thread() -> None:
    x = torch.randn(64, 16, 28, 28).contiguous(memory_format=torch.channels_last)
    y = MaxPool()(x)
    assert torch.equal(y, F.max_pool2d(x, 2))
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("relu", [False, True])
def test_nan_stays_nan(relu: bool) -> None:
    assert MaxPool(relu=relu)(torch.full((1, 3, 4, 4), float("nan"))).isnan().all()


def test_other_dtypes_are_left_to_torch() -> None:
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    assert torch.equal(MaxPool(relu=True)(x), F.relu(F.max_pool2d(x, 2)))
