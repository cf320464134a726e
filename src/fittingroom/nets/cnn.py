"""Convolutional networks of published experiments: 3 × 3 kernels, then dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.errors import InputError, UsageError
from fittingroom.nets import keras
from fittingroom.nets.bounds import Length, Share, Width, Widths, Within
from fittingroom.nets.dropout import Dropout
from fittingroom.nets.pooling import MaxPool

Feature = Width | Literal["pool"]


class CNN(nn.Module):
    """Convolutions with ReLU, optional 2 × 2 max-pooling, dense layers with ReLU.

    The maps are flattened channels-last, their order in memory.

    Parameters
    ----------
    image_shape : (height, width)
    n_classes : width of the last layer
    features : channels of each convolution, and ``"pool"`` after those that are pooled
    hidden : widths of the dense hidden layers
    dropout : rates after the hidden layers, one per layer; none by default
    stride : of every convolution after the first; 1 without padding, or 2 with a padding of 1
    resize : side to which the images are resized first (bilinear), or None

    Raises
    ------
    InputError : the images are too small for the layers
    UsageError : `features` isn't a sequence of convolutions, each with at most one pooling
    """

    def __init__(
        self,
        image_shape: tuple[int, int] = (28, 28),
        n_classes: int = 10,
        *,
        features: Annotated[Sequence[Feature], Length(1, 64)] = (32, "pool"),
        hidden: Widths = (128,),
        dropout: Annotated[Sequence[Share], Length(0, 32)] | None = None,
        stride: Literal[1, 2] = 1,
        resize: Annotated[int, Within(1, 1024)] | None = None,
    ) -> None:
        super().__init__()
        _check_features(features)
        self.resize = None if resize is None else Resize(image_shape, resize)
        height, width = image_shape if resize is None else (resize, resize)
        layers: list[nn.Module] = []
        channels = 1
        for feature, following in pairwise([*features, None]):
            if not isinstance(feature, int):
                continue
            step = stride if layers else 1
            padding = step - 1  # none at stride 1, one pixel at stride 2
            height, width = ((side + 2 * padding - 3) // step + 1 for side in (height, width))
            pooled = following == "pool"
            if pooled:
                height, width = height // 2, width // 2
            if pooled and not layers:
                # The first convolution has one input channel: all memory, hardly any arithmetic.
                layers.append(keras.stem(feature))
            else:
                # Pooled first and rectified afterwards: the same result with less to rectify.
                conv = keras.conv(channels, feature, stride=step, padding=padding)
                layers += [conv, MaxPool(relu=True) if pooled else nn.ReLU()]
            channels = feature
        _refuse_small_images((resize, resize) if resize else image_shape, height, width)
        self.features = nn.Sequential(*layers)

        dense: list[nn.Module] = []
        inputs = channels * height * width
        for outputs, rate in zip(hidden, dropout or [0.0] * len(hidden), strict=True):
            dense += [keras.dense(inputs, outputs), nn.ReLU()]
            if rate:
                dense.append(Dropout(rate))
            inputs = outputs
        self.classifier = nn.Sequential(*dense, keras.dense(inputs, n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, 1, height, width)`` in 0..1 to logits ``(batch, n_classes)``."""
        if self.resize is not None:
            x = self.resize(x)
        maps = self.features(x)  # (batch, channels, h, w)
        # Flattened channels-last, as in Keras and as the maps are in memory.
        logits: Tensor = self.classifier(maps.permute(0, 2, 3, 1).flatten(1))
        return logits


class Resize(nn.Module):
    """Bilinear resizing of images to a square, as two products with fixed matrices.

    Parameters
    ----------
    image_shape : (height, width)
    side : of the square
    """

    def __init__(self, image_shape: tuple[int, int], side: int) -> None:
        super().__init__()
        self.side = side
        for name, length in zip(("rows", "columns"), image_shape, strict=True):
            unit_lines = torch.eye(length)[:, None, :, None]  # each with a single lit pixel
            resized = F.interpolate(unit_lines, (side, 1), mode="bilinear", align_corners=False)
            self.register_buffer(name, resized[:, 0, :, 0], persistent=False)  # (length, side)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, 1, height, width)`` to ``(batch, 1, side, side)``, in float32."""
        rows, columns = self.get_buffer("rows"), self.get_buffer("columns")
        with torch.autocast(x.device.type, enabled=False):
            wide = x[:, 0] @ columns  # (batch, height, side)
            square: Tensor = (wide.mT @ rows).mT
        return square[:, None]


class NormalizedCNN(nn.Module):
    """Four convolutions and three dense layers, each with ReLU, batch norm and dropout.

    Without pooling the maps stay large: 51,200 numbers per image enter the first dense layer.

    Parameters
    ----------
    image_shape : (height, width)
    n_classes : width of the last layer
    channels : of the convolutions
    hidden : widths of the dense hidden layers
    dropout : rate after every hidden layer, per element
    pooling : max-pool the maps of the first two convolutions (2 × 2)

    Raises
    ------
    InputError : the images are too small for the layers
    """

    def __init__(
        self,
        image_shape: tuple[int, int] = (28, 28),
        n_classes: int = 10,
        *,
        channels: Annotated[Sequence[Width], Length(1, 32)] = (16, 32, 64, 128),
        hidden: Widths = (128, 64, 32),
        dropout: Share = 0.2,
        pooling: bool = False,
    ) -> None:
        super().__init__()
        height, width = image_shape
        layers: list[nn.Module] = []
        for position, (inputs, outputs) in enumerate(zip([1, *channels], channels, strict=False)):
            layers.append(keras.conv(inputs, outputs))
            height, width = height - 2, width - 2
            if pooling and position < 2:
                layers.append(MaxPool())
                height, width = height // 2, width // 2
            layers.append(keras.relu_norm_dropout(outputs, dropout))
        _refuse_small_images(image_shape, height, width)
        self.features = nn.Sequential(*layers)

        dense: list[nn.Module] = []
        widths = [channels[-1] * height * width, *hidden]
        for inputs, outputs in zip(widths, hidden, strict=False):
            dense += [keras.dense(inputs, outputs), nn.ReLU()]
            dense += [keras.batch_norm(outputs), Dropout(dropout)]
        self.classifier = nn.Sequential(*dense, keras.dense(widths[-1], n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, 1, height, width)`` in 0..1 to logits ``(batch, n_classes)``."""
        maps = self.features(x)  # (batch, channels, h, w)
        # Flattened channels-last, as in Keras and as the maps are in memory.
        logits: Tensor = self.classifier(maps.permute(0, 2, 3, 1).flatten(1))
        return logits


def _check_features(features: Sequence[Feature]) -> None:
    previous: Feature = "pool"
    for feature in features:
        if not isinstance(feature, int) and (feature != "pool" or previous == "pool"):
            raise UsageError(
                f"features must be channels of convolutions, each followed by at most one 'pool', "
                f"not {tuple(features)!r}."
            )
        previous = feature


def _refuse_small_images(image_shape: tuple[int, int], height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise InputError(
            f"images of {image_shape[0]}×{image_shape[1]} pixels are too small for this network's "
            "convolutions and pooling; use larger images or a network with fewer layers."
        )
