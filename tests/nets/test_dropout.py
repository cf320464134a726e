from __future__ import annotations

import pytest
import torch

from fittingroom.errors import InputError
from fittingroom.nets.dropout import Dropout


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.25, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_rate_and_the_mean_are_right(rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    y = Dropout(rate)(torch.ones(1000, 1001, dtype=dtype))
    assert y.dtype == dtype
    # A share of a million draws has a standard deviation of at most 0.0005.
    assert float((y == 0).double().mean()) == pytest.approx(rate, abs=0.0025)
    kept = y[y != 0]
    assert kept.unique().numel() == 1
    assert float(kept[0]) == pytest.approx(1 / (1 - rate), rel=4e-3)  # bfloat16 has 8 bits


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    dropped = (Dropout(0.25)(torch.ones(2**20)) == 0).double()
    for distance in (1, 2, 3, 4, 5, 64):
        both = float((dropped[distance:] * dropped[:-distance]).mean())
        assert both == pytest.approx(1 / 16, abs=0.0015)  # six standard deviations


def test_two_calls_differ_and_a_seed_decides() -> None:
    layer, x = Dropout(0.5), torch.ones(100)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)


def test_the_gradient_passes_only_through_kept_elements() -> None:
    x = torch.rand(7, 9).add_(1).requires_grad_()
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach() / x.detach())


def test_the_layout_of_the_input_is_kept() -> None:
    x = torch.ones(4, 8, 6, 6).contiguous(memory_format=torch.channels_last)
    assert Dropout(0.5)(x).stride() == x.stride()
    assert Dropout(0.5)(x[:, :, ::2]).shape == (4, 8, 3, 6)  # with gaps in memory


def test_prediction_drops_nothing() -> None:
    x = torch.rand(5)
    assert Dropout(0.5).eval()(x) is x


def test_the_extreme_rates() -> None:
    x = torch.rand(1000)
    for rate in (0.0, 1e-9):
        assert torch.equal(Dropout(rate)(x), x)
    assert float((Dropout(1 - 1e-9)(x) == 0).float().mean()) > 0.99


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0, float("nan")])
def test_an_invalid_rate_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="dropout rate"):
        Dropout(rate)
