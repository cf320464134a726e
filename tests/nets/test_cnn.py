from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.transform import resize
from torch import nn
from torch.nn import functional as F

from fittingroom.errors import InputError
from fittingroom.nets.cnn import CNN, NormalizedCNN
from fittingroom.nets.normalization import BatchNorm


def test_it_equals_plain_layers() -> None:
    net = CNN(features=(4, "pool", 8, "pool"), hidden=(6,)).eval()
    x = torch.rand(3, 1, 28, 28)
    conv1, conv2 = (layer for layer in net.features if isinstance(layer, nn.Conv2d))
    maps = x
    for conv in (conv1, conv2):
        maps = F.max_pool2d(F.relu(F.conv2d(maps, conv.weight, conv.bias)), 2)
    expected = net.classifier(maps.permute(0, 2, 3, 1).flatten(1))
    torch.testing.assert_close(net(x), expected)


def test_layers_are_in_the_given_order() -> None:
    net = CNN(features=(32, "pool", 64, "pool"), hidden=(8, 9), dropout=(0.25, 0.0), stride=2)
    kinds = [type(layer).__name__ for layer in (*net.features, *net.classifier)]
    assert kinds == [
        *("Stem", "Convolution", "MaxPool"),
        *("Linear", "ReLU", "Dropout", "Linear", "ReLU", "Linear"),
    ]
    first, second = (layer for layer in net.features if isinstance(layer, nn.Conv2d))
    assert (first.stride, first.padding) == ((1, 1), (0, 0))
    assert (second.stride, second.padding) == ((2, 2), (1, 1))


def test_resizing_is_scikit_images() -> None:
    images = np.random.RandomState(0).rand(2, 28, 28)
    expected = np.stack([resize(image, (32, 32), mode="edge", order=1) for image in images])
    seen = []
    net = CNN(features=(6,), hidden=(), resize=32)
    net.features.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    net(torch.from_numpy(images[:, None]).float())
    np.testing.assert_allclose(seen[0][:, 0].numpy(), expected, atol=1e-6)


def test_other_shapes_and_classes() -> None:
    net = CNN((20, 33), 3, features=(4, "pool", 5), hidden=())
    assert net(torch.rand(2, 1, 20, 33)).shape == (2, 3)
    assert NormalizedCNN((12, 10), 4)(torch.rand(2, 1, 12, 10)).shape == (2, 4)


@pytest.mark.parametrize("side", [4, 21])
def test_images_too_small_for_the_layers_are_refused(side: int) -> None:
    with pytest.raises(InputError, match=f"{side}×{side} pixels are too small"):
        CNN((side, side), features=(32, "pool", 64, "pool", 64, "pool"))


def test_the_smallest_possible_image_is_accepted() -> None:
    net = CNN((22, 22), features=(2, "pool", 2, "pool", 2, "pool"), hidden=())
    assert net(torch.rand(1, 1, 22, 22)).shape == (1, 10)


def test_normalized_cnn_has_norm_after_relu_then_dropout() -> None:
    net = NormalizedCNN(pooling=True)
    kinds = [type(layer).__name__ for layer in net.features]
    assert kinds == ["Convolution", "MaxPool", "BatchNorm"] * 2 + ["Convolution", "BatchNorm"] * 2
    norms = [layer for layer in net.features if isinstance(layer, BatchNorm)]
    assert {(norm.relu, norm.dropout) for norm in norms} == {("before", 0.2)}
    assert [type(layer).__name__ for layer in net.classifier] == [
        *("Linear", "ReLU", "BatchNorm1d", "Dropout") * 3,
        "Linear",
    ]
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_trainable_parameters_of_the_normalized_cnn() -> None:
    assert sum(p.numel() for p in NormalizedCNN().parameters()) == 6_662_474
