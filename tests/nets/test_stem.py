from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fittingroom.nets.stem import Stem


def plain(stem: Stem, x: Tensor) -> Tensor:
    return F.relu(F.max_pool2d(F.conv2d(x, stem.weight, stem.bias), 2))


@pytest.mark.parametrize("channels", [3, 6, 32])
@pytest.mark.parametrize("sides", [(28, 28), (27, 30), (4, 5)])
def test_output_and_gradients_equal_the_plain_layers(channels: int, sides: tuple[int, int]) -> None:
    torch.manual_seed(0)
    stem, x = Stem(channels), torch.rand(40, 1, *sides)
    y, expected = stem(x), plain(stem, x)
    torch.testing.assert_close(y, expected)
    g = torch.randn_like(expected)
    assert stem.bias is not None
    weights = [stem.weight, stem.bias]
    for ours, torchs in zip(
        torch.autograd.grad(y, weights, g), torch.autograd.grad(expected, weights, g), strict=True
    ):
        torch.testing.assert_close(ours, torchs, rtol=1e-4, atol=1e-3)


def test_images_may_lie_in_memory_in_any_order() -> None:
    torch.manual_seed(0)
    stem, x = Stem(6), torch.rand(4, 1, 12, 12)
    gradients = []
    for images in (x, x.mT.contiguous().mT, x.repeat(1, 1, 1, 2)[..., :12]):
        y = stem(images)
        gradients.append(torch.autograd.grad(y, stem.weight, torch.ones_like(y))[0])
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(gradients[0], gradients[2])


def test_under_autocast_it_gives_bfloat16_of_float32_sums() -> None:
    stem, x = Stem(8), torch.rand(5, 1, 28, 28)
    with torch.autocast("cpu", torch.bfloat16):
        y = stem(x)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y, plain(stem, x).bfloat16(), rtol=0.01, atol=1e-3)


def test_a_gradient_for_the_images_equals_torchs() -> None:
    stem, x = Stem(4), torch.rand(2, 1, 8, 8, requires_grad=True)
    (ours,) = torch.autograd.grad(stem(x).sum(), x)
    (torchs,) = torch.autograd.grad(plain(stem, x).sum(), x)
    assert torch.equal(ours, torchs)


def test_nan_stays_nan() -> None:
    stem = Stem(2)
    with torch.no_grad():
        stem.weight[0] = float("nan")
    y = stem(torch.rand(1, 1, 6, 6))
    assert y[:, 0].isnan().all()
    assert not y[:, 1].isnan().any()
