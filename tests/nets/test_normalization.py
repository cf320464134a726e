from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.nets.normalization import BatchNorm


def pair(relu: Any, dropout: float = 0.0) -> tuple[BatchNorm, nn.BatchNorm2d]:
    """Our layer and torch's with the same random weights."""
    layers = BatchNorm(6, relu=relu, dropout=dropout), nn.BatchNorm2d(6)
    for layer in layers:
        nn.init.uniform_(layer.weight, 0.5, 2)
        nn.init.uniform_(layer.bias, -1, 1)
    layers[1].load_state_dict(layers[0].state_dict())
    return layers


def plain(layer: nn.BatchNorm2d, relu: Any, x: Tensor) -> Tensor:
    y: Tensor = layer(F.relu(x) if relu == "before" else x)
    return F.relu(y) if relu == "after" else y


@pytest.mark.parametrize("relu", ["before", "after", None])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outputs_gradients_and_running_statistics_equal_torchs(
    relu: Any, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    ours, torchs = pair(relu)
    x = (torch.randn(50, 6, 12, 11) * 3 + 1).to(dtype)
    a, b = x.clone().requires_grad_(), x.float().requires_grad_()
    y, expected = ours(a), plain(torchs, relu, b)
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


def test_in_eval_mode_it_equals_torchs() -> None:
    ours, torchs = pair("after", dropout=0.5)
    x = torch.randn(3, 6, 4, 4)
    assert torch.equal(ours.eval()(x), plain(torchs.eval(), "after", x))


def test_dropout_keeps_the_rate_and_the_scale() -> None:
    torch.manual_seed(0)
    layer = BatchNorm(6, dropout=0.25)
    nn.init.ones_(layer.bias)
    nn.init.zeros_(layer.weight)
    y = layer(torch.randn(300, 6, 20, 20))
    assert float((y == 0).double().mean()) == pytest.approx(0.25, abs=0.003)
    assert y[y != 0].unique().tolist() == pytest.approx([1 / 0.75])


def test_the_gradient_passes_only_through_kept_elements() -> None:
    torch.manual_seed(0)
    layer = BatchNorm(6, dropout=0.5)
    x = torch.randn(8, 6, 5, 5)
    y = layer(x)
    dropped = (y == 0).double()
    (for_bias,) = torch.autograd.grad(y, layer.bias, torch.ones_like(y))
    # Each kept element passes a gradient of 2 on to its channel's bias.
    expected = 2 * (1 - dropped).sum(dim=(0, 2, 3))
    torch.testing.assert_close(for_bias.double(), expected)


def test_a_seed_decides_what_is_dropped() -> None:
    layer, x = BatchNorm(6, dropout=0.5), torch.randn(8, 6, 5, 5)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_nan_stays_nan() -> None:
    x = torch.randn(2, 6, 3, 3)
    x[0, 2, 1, 1] = float("nan")
    y = BatchNorm(6, relu="after")(x)
    assert y[:, 2].isnan().all()
    assert not y[:, :2].isnan().any()
