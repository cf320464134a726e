"""Wide residual networks for small images."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from fittingroom.errors import UsageError
from fittingroom.nets.bounds import Within
from fittingroom.nets.convolution import Convolution
from fittingroom.nets.normalization import BatchNorm
from fittingroom.nets.views import mean_logits

#: Channels of the first convolution, and of the three stages before they are widened.
FIRST, STAGES = 16, (16, 32, 64)


class WideResNet(nn.Module):
    """A residual network of few, wide layers with pre-activation blocks.

    Zagoruyko and Komodakis 2016, "Wide Residual Networks", arXiv 1605.07146, table 1. The first
    convolution sees the images at full size; the second and third stage halve the maps: 28, 14 and
    7 pixels per side. Kernels start He normal (He et al. 2015, fan out).

    Parameters
    ----------
    image_shape : (height, width)
    n_classes : width of the last layer
    depth : layers on the longest path (convolutions, without shortcuts, and the dense layer):
        6·n + 4 for n blocks per stage
    width : how many times wider than a plain residual network
    mirror_views : predict from the mean logits of an image and its mirror image

    Raises
    ------
    UsageError : the depth or width is invalid
    """

    def __init__(
        self,
        image_shape: tuple[int, int] = (28, 28),
        n_classes: int = 10,
        *,
        depth: Annotated[int, Within(10, 200)] = 40,
        width: Annotated[int, Within(1, 64)] = 4,
        mirror_views: bool = False,
    ) -> None:
        super().__init__()
        if depth < 10 or depth % 6 != 4:
            raise UsageError(f"depth must be 10, 16, 22, … (6·n + 4), not {depth!r}.")
        if width < 1:
            raise UsageError(f"width must be a whole number of at least 1, not {width!r}.")
        self.mirror_views = mirror_views
        self.first = _conv(1, FIRST)
        blocks: list[nn.Module] = []
        channels = FIRST
        for stage, plain in enumerate(STAGES):
            for block in range((depth - 4) // 6):
                stride = 2 if stage and not block else 1
                blocks.append(_ResidualBlock(channels, plain * width, stride))
                channels = plain * width
        self.blocks = nn.Sequential(*blocks)
        self.norm = BatchNorm(channels, relu="after")
        self.classifier = nn.Linear(channels, n_classes)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, 1, height, width)`` in 0..1 to logits ``(batch, n_classes)``."""
        if self.training:
            return self._logits(x)
        return mean_logits(self._logits, x, mirrored=self.mirror_views)

    def _logits(self, x: Tensor) -> Tensor:
        maps: Tensor = self.norm(self.blocks(self.first(x)))  # (batch, channels, h, w)
        # Pooled channels-last, so that the gradient has the layout of the maps.
        logits: Tensor = self.classifier(maps.permute(0, 2, 3, 1).flatten(1, 2).mean(dim=1))
        return logits


class _ResidualBlock(nn.Module):
    """Batch norm, ReLU and a 3 × 3 convolution, twice, added to the input.

    If the shape changes, the shortcut is a 1 × 1 convolution of the normalized maps; otherwise it
    is the identity.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = BatchNorm(inputs, relu="after")
        self.conv1 = _conv(inputs, outputs, stride=stride)
        self.norm2 = BatchNorm(outputs, relu="after")
        self.conv2 = _conv(outputs, outputs)
        # At width 1 the first stage keeps its sixteen channels: then nothing changes.
        changes = inputs != outputs or stride != 1
        self.shortcut = _conv(inputs, outputs, side=1, stride=stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, h, w)`` to ``(batch, outputs, h / stride, w / stride)``, rounded up."""
        active = self.norm1(x)
        if self.shortcut is not None:
            x = self.shortcut(active)
        return torch.add(x, self.conv2(self.norm2(self.conv1(active))))


def _conv(inputs: int, outputs: int, *, side: int = 3, stride: int = 1) -> Convolution:
    layer = Convolution(inputs, outputs, side, stride=stride, padding=side // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
