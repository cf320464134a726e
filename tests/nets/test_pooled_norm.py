from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fittingroom.nets.normalization import BatchNorm
from fittingroom.nets.pooled_norm import can_normalize_at_once, pool_and_normalize


def pair(channels: int) -> tuple[BatchNorm, nn.BatchNorm2d]:
    """Our layer and torch's with the same random weights."""
    layers = BatchNorm(channels, relu="after"), nn.BatchNorm2d(channels)
    for layer in layers:
        nn.init.uniform_(layer.weight, 0.5, 2)
        nn.init.uniform_(layer.bias, -1, 1)
    layers[1].load_state_dict(layers[0].state_dict())
    return layers


# The largest maps are passed by every thread; odd sides lose their last pixels.
@pytest.mark.parametrize("shape", [(13, 16, 8, 8), (5, 48, 7, 9), (3, 16, 2, 3), (96, 32, 28, 28)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outputs_gradients_and_running_statistics_equal_torchs(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    ours, torchs = pair(shape[1])
    # Few levels, so that many maxima are tied: the first of them gets the gradient.
    x = (torch.randn(shape) * 6 + 1).round().to(dtype)
    a, b = x.clone().requires_grad_(), x.float().requires_grad_()
    y, expected = pool_and_normalize(a, ours), F.relu(torchs(F.max_pool2d(b, 2)))
    assert y.dtype == dtype
    g = torch.randn_like(expected).to(dtype)
    torch.autograd.backward((y, expected), (g, g.float()))
    rtol = atol = 1e-4 if dtype == torch.float32 else 0.02
    torch.testing.assert_close(y.float(), expected, rtol=rtol, atol=atol)
    assert a.grad is not None
    torch.testing.assert_close(a.grad.float(), b.grad, rtol=rtol, atol=atol)
    for name in ("weight", "bias"):
        mine, other = getattr(ours, name).grad, getattr(torchs, name).grad
        torch.testing.assert_close(mine, other, rtol=2e-3, atol=0.02)
    for name, statistic in torchs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), statistic)


def test_maps_in_another_order_are_taken_too() -> None:
    ours, again = pair(16)[0], BatchNorm(16, relu="after")
    again.load_state_dict(ours.state_dict())
    x = torch.randn(4, 16, 6, 6)
    y = pool_and_normalize(x.contiguous(memory_format=torch.channels_last), ours)
    assert torch.equal(pool_and_normalize(x, again), y)


def test_maps_without_variance_have_their_bias() -> None:
    layer = BatchNorm(16, relu="after")
    nn.init.constant_(layer.bias, 0.5)
    x = torch.full((2, 16, 4, 4), 3.0, requires_grad=True)
    y = pool_and_normalize(x, layer)
    torch.testing.assert_close(y, torch.full_like(y, 0.5), rtol=0, atol=1e-3)
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_nan_stays_nan() -> None:
    x = torch.randn(2, 32, 4, 4)
    x[0, 2, 0, 0] = float("nan")
    y = pool_and_normalize(x, BatchNorm(32, relu="after"))
    assert y[:, 2].isnan().all()
    assert not y[:, :2].isnan().any()


def test_channels_that_fill_no_vector_are_left_to_others() -> None:
    assert can_normalize_at_once(torch.zeros(1, 32, 4, 4))
    assert not can_normalize_at_once(torch.zeros(1, 24, 4, 4))
    assert not can_normalize_at_once(torch.zeros(1, 32, 4, 4, dtype=torch.float64))
