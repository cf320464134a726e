from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError
from fittingroom.nets.swift import Swift


def images_of(small: Dataset) -> torch.Tensor:
    return torch.from_numpy(small.train.images.copy())


def test_whitening_is_not_trained(small: Dataset) -> None:
    net = Swift()
    net.fit_constants(images_of(small))
    net(torch.rand(4, 1, 28, 28)).sum().backward()
    assert net.whiten.weight.grad is None
    assert net.classifier[-1].weight.grad is not None


def test_convolutions_start_as_the_identity() -> None:
    block = Swift().features[0]
    assert isinstance(block, nn.Sequential)
    layer = block[0]
    assert isinstance(layer, nn.Conv2d)
    x = torch.rand(1, layer.in_channels, 6, 6)
    torch.testing.assert_close(layer(x)[:, : layer.in_channels], x)


def test_mirror_views_give_a_mirrored_image_the_same_logits() -> None:
    x = torch.rand(3, 1, 28, 28)
    for mirror_views in (True, False):
        net = Swift(mirror_views=mirror_views).eval()
        same = torch.allclose(net(x), net(x.flip(-1)), atol=1e-5)
        assert same is mirror_views
    net = Swift(mirror_views=True).train()
    assert not torch.allclose(net(x), net(x.flip(-1)), atol=1e-5)


@pytest.mark.parametrize(("pool_first", "side"), [(True, 3), (False, 7)])
def test_the_patches_may_be_pooled_first(pool_first: bool, side: int) -> None:
    x = torch.rand(3, 1, 28, 28)
    net = Swift(widths=(4, 8), pool_first=pool_first).eval()
    assert net.whiten(x).shape == (3, 16, 28, 28)
    assert net.pool(net.whiten(x)).shape[-1] == (14 if pool_first else 28)
    assert net.classifier[0].in_features == 8 * side * side
    assert net(x).shape == (3, 10)


@pytest.mark.parametrize(
    ("widths", "pool_first"), [((16, 32), True), ((16, 32, 16), False), ((4, 8), True)]
)
def test_in_training_its_gradients_are_those_of_its_layers(
    widths: tuple[int, ...], pool_first: bool
) -> None:
    torch.manual_seed(0)
    net = Swift(widths=widths, pool_first=pool_first)
    plain = Swift(widths=widths, pool_first=pool_first)
    plain.load_state_dict(net.state_dict())
    x = torch.rand(20, 1, 28, 28)

    def logits_of_layers() -> torch.Tensor:
        maps = F.relu(F.conv2d(x, plain.whiten.weight, plain.whiten.bias, padding=1))
        maps = F.max_pool2d(maps, 2) if pool_first else maps
        for block in plain.features:
            assert isinstance(block, nn.Sequential)
            convolution, _, norm = block
            assert isinstance(norm, nn.BatchNorm2d)
            pooled = F.max_pool2d(convolution(maps), 2)
            statistics = norm.running_mean, norm.running_var
            maps = F.relu(F.batch_norm(pooled, *statistics, norm.weight, norm.bias, training=True))
        logits: torch.Tensor = plain.classifier(maps.permute(0, 2, 3, 1).flatten(1))
        return logits

    for logits in (net(x), logits_of_layers()):
        F.cross_entropy(logits, torch.arange(20) % 10).backward()  # type: ignore[no-untyped-call]
    ours, torchs = (dict(n.named_parameters()) for n in (net, plain))
    for name, weight in torchs.items():
        if weight.requires_grad:
            torch.testing.assert_close(ours[name].grad, weight.grad, rtol=1e-3, atol=1e-5)
    for name, statistic in plain.named_buffers():
        if "num_batches" not in name:
            torch.testing.assert_close(net.get_buffer(name), statistic)


def test_whitening_takes_other_shapes_and_floats() -> None:
    net = Swift((9, 17), 4)
    images = torch.rand(50, 9, 17) * 255
    net.fit_constants(images)
    logits = net(images[:, None] / 255)
    assert logits.shape == (50, 4)
    assert torch.isfinite(F.cross_entropy(logits, torch.zeros(50, dtype=torch.long)))


def test_too_small_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"7×28 pixels are too small.* 3 poolings need 8 pixels"):
        Swift((7, 28), widths=(4, 8), pool_first=True)
