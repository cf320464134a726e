from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fittingroom.data.dataset import Dataset
from fittingroom.nets import whitening
from fittingroom.nets.whitening import Whitening


@pytest.fixture
def layer(small: Dataset) -> Whitening:
    layer = Whitening()
    layer.fit_constants(torch.from_numpy(small.train.images.copy()))
    return layer


def plain(layer: Whitening, x: Tensor) -> Tensor:
    return F.conv2d(x, layer.weight, layer.bias, padding=1)


def test_whitened_patches_have_no_mean_and_are_uncorrelated(
    layer: Whitening, small: Dataset
) -> None:
    images = torch.from_numpy(small.train.images.copy())
    maps = plain(layer, images[:, None].float() / 255)  # (n, 16, 28, 28)
    # In float64: a sum of a million and a half products loses digits on some CPUs.
    values = maps[:, :8].permute(1, 0, 2, 3).flatten(1).double()
    assert values.mean(dim=1).abs().max() < 1e-3
    covariance = torch.cov(values)
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-3
    assert covariance.diag().max() <= 1 + 1e-3
    assert covariance.diag()[-1] > 0.9  # the strongest axes come last
    torch.testing.assert_close(maps[:, 8:], -maps[:, :8])


def test_large_images_are_processed_in_chunks(
    layer: Whitening, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    patch_moments = whitening._patch_moments

    def count(images: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(len(images))
        return patch_moments(images)

    monkeypatch.setattr(whitening, "_patch_moments", count)
    monkeypatch.setattr(whitening, "PIXELS", 300 * 784)
    in_chunks = Whitening()
    in_chunks.fit_constants(torch.from_numpy(small.train.images.copy()))
    assert sizes == [300] * 6 + [200]
    torch.testing.assert_close(in_chunks.weight, layer.weight)
    torch.testing.assert_close(in_chunks.bias, layer.bias)


@pytest.mark.parametrize("sides", [(28, 28), (9, 17), (1, 1)])
def test_it_equals_the_convolution_and_its_relu(layer: Whitening, sides: tuple[int, int]) -> None:
    x = torch.rand(40, 1, *sides, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x), F.relu(plain(layer, x)), rtol=1e-5, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.float(), F.relu(plain(layer, x)), rtol=0.01, atol=1e-3)


@pytest.mark.parametrize("sides", [(28, 28), (9, 17), (2, 3)])
def test_pooled_it_equals_the_largest_of_each_four(
    layer: Whitening, sides: tuple[int, int]
) -> None:
    x = torch.rand(40, 1, *sides, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer(x, pooled=True), F.max_pool2d(layer(x), 2))
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x, pooled=True)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.float(), F.max_pool2d(layer(x), 2), rtol=0.01, atol=1e-3)
    with_gradient = x.clone().requires_grad_()
    torch.testing.assert_close(layer(with_gradient, pooled=True), layer(x, pooled=True))


def test_a_gradient_equals_torchs(layer: Whitening) -> None:
    x = torch.rand(2, 1, 8, 8, requires_grad=True)
    (ours,) = torch.autograd.grad(layer(x).sum(), x)
    (torchs,) = torch.autograd.grad(F.relu(plain(layer, x)).sum(), x)
    assert torch.equal(ours, torchs)


def test_nan_stays_nan(layer: Whitening) -> None:
    x = torch.rand(1, 1, 6, 6)
    x[0, 0, 2, 2] = float("nan")
    assert layer(x)[0, :, 1:4, 1:4].isnan().all()
    x[0, 0, 3, 3] = float("nan")
    assert layer(x, pooled=True)[0, :, 1, 1].isnan().all()
