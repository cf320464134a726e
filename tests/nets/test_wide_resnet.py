from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.data.dataset import Dataset
from fittingroom.errors import UsageError
from fittingroom.nets.wide_resnet import WideResNet, _ResidualBlock


def real(small: Dataset, n: int) -> tuple[Tensor, Tensor]:
    """Images (n, 1, 28, 28) in 0..1, channels-last, and labels."""
    images = torch.from_numpy(small.train.images[:n].copy()).float()[..., None] / 255
    return images.permute(0, 3, 1, 2), torch.from_numpy(small.train.labels[:n].copy()).long()


def weights_of(depth: int, width: int) -> int:
    """The number of weights by the paper's table 1, for images of one channel and ten classes."""
    blocks = (depth - 4) // 6
    channels = [16, 16 * width, 32 * width, 64 * width]
    total = 9 * channels[0]
    for before, after in pairwise(channels):
        total += 9 * before * after + 9 * after * after + 2 * before + 2 * after  # first block
        if before != after:
            total += before * after  # its shortcut
        total += (blocks - 1) * (2 * 9 * after * after + 4 * after)
    return total + 2 * channels[-1] + (channels[-1] + 1) * 10


@pytest.mark.parametrize(("depth", "width"), [(10, 1), (16, 2), (28, 3), (40, 4)])
def test_the_number_of_weights_is_the_papers(depth: int, width: int) -> None:
    net = WideResNet(depth=depth, width=width)
    count = sum(weight.numel() for weight in net.parameters())
    assert count == weights_of(depth, width)
    if (depth, width) == (40, 4):
        assert round(count / 1e6, 1) == 8.9


@pytest.mark.parametrize("shape", [(28, 28), (32, 20), (9, 5), (1, 1)])
def test_stages_halve_the_maps_rounding_up(shape: tuple[int, int]) -> None:
    net = WideResNet(shape, 4, depth=16, width=2)
    sizes: list[tuple[int, ...]] = []
    for block in net.blocks:
        block.register_forward_hook(lambda _, __, maps: sizes.append(tuple(maps.shape[1:])))
    assert net(torch.rand(3, 1, *shape)).shape == (3, 4)
    height, width = shape
    halves = [(32, height, width), (64, -(-height // 2), -(-width // 2))]
    halves.append((128, -(-halves[1][1] // 2), -(-halves[1][2] // 2)))
    assert sizes == [size for size in halves for _ in range(2)]


def by_hand(net: WideResNet, x: Tensor) -> Tensor:
    """The network in plain operations: the paper's figure 1 (b), with the batch's statistics."""

    def active(norm: nn.BatchNorm2d, maps: Tensor) -> Tensor:
        statistics = norm.running_mean.clone(), norm.running_var.clone()  # type: ignore[union-attr]
        options: dict[str, Any] = {"training": True, "eps": norm.eps}
        return F.relu(F.batch_norm(maps, *statistics, norm.weight, norm.bias, **options))

    x = F.conv2d(x, net.first.weight, padding=1)
    for block in net.blocks:
        assert isinstance(block, _ResidualBlock)
        stride = block.conv1.stride
        before = active(block.norm1, x)
        y = F.conv2d(before, block.conv1.weight, None, stride, padding=1)
        y = F.conv2d(active(block.norm2, y), block.conv2.weight, padding=1)
        if block.shortcut is not None:
            x = F.conv2d(before, block.shortcut.weight, None, stride)
        x = x + y
    return net.classifier(active(net.norm, x).mean(dim=(2, 3)))  # type: ignore[no-any-return]


def results(
    forward: Callable[[Tensor], Tensor], net: nn.Module, x: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits, and all gradients as one vector."""
    net.zero_grad()
    logits = forward(x)
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    torch.autograd.backward(F.cross_entropy(precise, labels))
    gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
    assert len(gradients) == len(list(net.parameters()))
    return logits.detach().double(), torch.cat([g.double().flatten() for g in gradients])


def distance(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def distances(small: Dataset) -> dict[str, tuple[float, float]]:
    """How far logits and gradients are from plain operations in float64."""
    x, labels = real(small, 64)
    torch.manual_seed(0)
    net = WideResNet(depth=16, width=2).train()
    exact = copy.deepcopy(net).double()
    expected = results(lambda x: by_hand(exact, x), exact, x.double(), labels)
    pairs = {
        "float32": results(net, net, x, labels),
        "plain float32": results(lambda x: by_hand(net, x), net, x, labels),
    }
    with torch.autocast("cpu", torch.bfloat16):
        pairs["bfloat16"] = results(net, net, x, labels)
        pairs["plain bfloat16"] = results(lambda x: by_hand(net, x), net, x, labels)
    return {
        name: (distance(pair[0], expected[0]), distance(pair[1], expected[1]))
        for name, pair in pairs.items()
    }


Compared = dict[str, tuple[float, float]]


def test_logits_and_gradients_equal_those_of_plain_operations(distances: Compared) -> None:
    """On every CPU they are far closer to float64 than plain operations in float32 are.

    How close the gradients come depends on rounding: near zero a ReLU passes the gradient or
    doesn't. Depending on instruction set and seed the distance is 2e-6 to 3e-3 here, and 0.018 to
    0.023 in plain operations.
    """
    logits, gradients = distances["float32"]
    assert logits < 1e-5
    assert gradients < 0.3 * distances["plain float32"][1] < 0.01


def test_bfloat16_loses_no_more_than_plain_operations(distances: Compared) -> None:
    logits, gradients = distances["bfloat16"]
    assert logits < 0.03
    assert gradients < 1.2 * distances["plain bfloat16"][1] < 0.4


def test_mirror_views_give_a_mirrored_image_the_same_logits() -> None:
    x = torch.rand(3, 1, 28, 28)
    for mirror_views in (True, False):
        net = WideResNet(depth=10, width=1, mirror_views=mirror_views).eval()
        assert torch.allclose(net(x), net(x.flip(-1)), atol=1e-5) is mirror_views


def test_kernels_start_with_hes_standard_deviation() -> None:
    torch.manual_seed(0)
    net = WideResNet(depth=10, width=4)
    kernel = net.get_parameter("blocks.1.conv2.weight").detach()
    assert float(kernel.std()) == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("options", [{"depth": 28 + 1}, {"depth": 4}, {"width": 0}])
def test_an_invalid_depth_or_width_is_refused(options: dict[str, int]) -> None:
    (name,) = options
    with pytest.raises(UsageError, match=f"{name} must be .*not {options[name]}"):
        WideResNet(**options)  # type: ignore[arg-type]
