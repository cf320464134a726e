"""A first layer that isn't trained: whitened patches of the images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.kernels.compiled import as_stored, compiled, in_parts
from fittingroom.kernels.tensors import can_compile, view
from fittingroom.kernels.vectors import load, spread, store, where_greater

#: Side of the patches.
PATCH = 3
#: Strongest axes kept of the nine; 16 channels, with both signs, suit matrix instructions.
AXES = 8
#: Training images whose patches determine the kernels.
IMAGES = 5000
#: Pixels whose patches are in memory at once: as many as in 5,000 images of 28 × 28, in 141 MB.
PIXELS = IMAGES * 28 * 28
#: Added to each axis's variance, so that axes of mere noise aren't amplified.
FLOOR = 0.02


class Whitening(nn.Conv2d):
    """The principal axes of the training images' patches, scaled to unit variance, rectified.

    Each axis occurs with both signs (Page 2018, "How to train your ResNet"; Jordan 2024, arXiv
    2404.00498, section 3.1). A convolution of one channel is memory-bound; here it is one pass with
    its ReLU, summed in float32 whatever the precision of the training.
    """

    def __init__(self) -> None:
        super().__init__(1, 2 * AXES, PATCH, padding=PATCH // 2)
        self.requires_grad_(False)

    def fit_constants(self, images: Tensor) -> None:
        """Set the kernels from training images (n, height, width) in 0..255."""
        images = images[:IMAGES]
        at_once = max(1, PIXELS // images[0].numel())
        starts = range(0, len(images), at_once)
        chunks = [_patch_moments(images[start : start + at_once]) for start in starts]
        mean, moments = (torch.cat(chunk).mean(dim=0) for chunk in zip(*chunks, strict=True))
        variances, axes = torch.linalg.eigh(moments - torch.outer(mean, mean))
        kernels = axes.T / (variances[:, None] + FLOOR).sqrt()  # (9, 9)
        kernels = kernels[-AXES:]  # eigh puts the strongest last
        kernels = torch.cat((kernels, -kernels))
        with torch.no_grad():
            self.weight.copy_(kernels.view_as(self.weight))
            assert self.bias is not None
            self.bias.copy_(-kernels @ mean)

    def forward(self, x: Tensor, *, pooled: bool = False) -> Tensor:
        """``(batch, 1, h, w)`` to ``(batch, 16, h, w)``, at least 0; sides halved if ``pooled``.

        Pooled, each number is the largest of 2 × 2, and the maps that are the network's largest are
        never written.
        """
        inputs = (x, self.weight, self.bias)
        if not can_compile(x) or x.dtype != torch.float32 or _any_requires_gradient(inputs):
            y = F.relu(super().forward(x))
            return F.max_pool2d(y, 2) if pooled else y
        half = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu")
        height, width = (side // 2 if pooled else side for side in x.shape[2:])
        shape = len(x), self.out_channels, height, width
        y = torch.empty(shape, dtype=half or x.dtype, memory_format=torch.channels_last)
        assert self.bias is not None
        kernel = self.weight[:, 0].permute(1, 2, 0).contiguous().numpy()  # (3, 3, 16)
        convolve = _convolve_and_pool if pooled else _convolve
        work = y.numel() * (4 if pooled else 1)
        in_parts(convolve, len(x), work, x[:, 0].numpy(), kernel, view(self.bias), view(y))
        return y


def _patch_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (n, 9) and second moments (n, 9, 9) of the patches of images (n, height, width).

    Summed image by image and then in float64: some processors' libraries lose a hundredth in sums
    over millions.
    """
    x = images.float() / 255
    patches = F.pad(x, (1, 1, 1, 1)).unfold(1, PATCH, 1).unfold(2, PATCH, 1)
    patches = patches.reshape(len(x), -1, PATCH**2)  # (images, patches, 9)
    moments = (patches.mT @ patches).double() / patches.shape[1]
    return patches.mean(dim=1).double(), moments


def _any_requires_gradient(tensors: tuple[Tensor | None, ...]) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


@compiled
def _convolve(start: int, stop: int, part: int, x: Any, kernel: Any, bias: Any, y: Any) -> None:
    # A border of zeros, written once, saves testing every pixel for being at the edge.
    padded = np.zeros((x.shape[1] + 2, x.shape[2] + 2), np.float32)
    values = np.empty(len(bias), np.float32)
    for i in range(start, stop):
        for r in range(x.shape[1]):  # assigning slices would compile its error message as well
            for c in range(x.shape[2]):
                padded[r + 1, c + 1] = x[i, r, c]
        for r in range(y.shape[1]):
            for c in range(y.shape[2]):
                for k in range(len(bias)):  # 16 channels: a vector of the processor
                    total = bias[k]
                    for u in range(3):
                        for v in range(3):
                            total += kernel[u, v, k] * padded[r + u, c + v]
                    values[k] = np.float32(0) if total <= 0 else total
                for k in range(y.shape[3]):
                    y[i, r, c, k] = as_stored(values[k], y[i, r, c, k])


@compiled
def _convolve_and_pool(
    start: int, stop: int, part: int, x: Any, kernel: Any, bias: Any, y: Any
) -> None:
    padded = np.zeros((x.shape[1] + 2, x.shape[2] + 2), np.float32)
    nothing = spread(np.float32(0))
    for i in range(start, stop):
        for r in range(x.shape[1]):
            for c in range(x.shape[2]):
                padded[r + 1, c + 1] = x[i, r, c]
        for r in range(y.shape[1]):
            for c in range(y.shape[2]):
                best = right = below = across = load(bias, 0)
                for u in range(3):
                    for v in range(3):
                        weights = load(kernel, 16 * (3 * u + v))
                        s, t = 2 * r + u, 2 * c + v
                        best = best + weights * spread(padded[s, t])
                        right = right + weights * spread(padded[s, t + 1])
                        below = below + weights * spread(padded[s + 1, t])
                        across = across + weights * spread(padded[s + 1, t + 1])
                # The floor first, since a comparison with NaN takes the second value.
                best = where_greater(nothing, best, nothing, best)
                best = where_greater(right, best, right, best)
                best = where_greater(below, best, below, best)
                best = where_greater(across, best, across, best)
                store(best, y, ((i * y.shape[1] + r) * y.shape[2] + c) * y.shape[3])
