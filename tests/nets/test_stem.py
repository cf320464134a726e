from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numba import njit
from torch import Tensor
from torch.nn import functional as F

from fittingroom.kernels import capabilities
from fittingroom.kernels.tensors import view
from fittingroom.nets.stem import Stem, add_gradients, convolve


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


def test_gradients_are_the_same_without_an_instruction_that_permutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capabilities, "has_wide_vectors", lambda: False)
    narrow: Any = njit(add_gradients.py_func)  # type: ignore[attr-defined]
    torch.manual_seed(0)
    stem, x = Stem(6), torch.rand(3, 1, 9, 12)
    expected = plain(stem, x)
    g = torch.randn_like(expected)
    y, places = np.zeros((3, 3, 5, 6), np.float32), np.zeros((3, 3, 5, 6), np.uint8)
    kernel, bias = np.zeros((3, 3, 16), np.float32), np.zeros(16, np.float32)
    kernel[..., :6] = stem.weight.detach()[:, 0].permute(1, 2, 0).numpy()
    bias[:6] = view(stem.bias)  # type: ignore[arg-type]
    convolve(0, 3, 0, x[:, 0].numpy(), kernel, bias, y, places)
    slopes = g.permute(0, 2, 3, 1).contiguous().numpy()
    gradients = np.zeros((1, 3, 3, 16), np.float32), np.zeros((1, 16), np.float32)
    narrow(0, 3, 0, x[:, 0].numpy(), slopes, places, *gradients)
    (theirs,) = torch.autograd.grad(expected, stem.weight, g)
    mine = torch.from_numpy(gradients[0][0, :, :, :6]).permute(2, 0, 1)[:, None]
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


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
