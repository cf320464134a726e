"""Random changes to training images, made on whole batches.

An augmentation is a function and a row of ``AUGMENTATIONS``. It takes a ``Batch`` and returns
images of the same shape. Mirroring happens only where a mirrored image keeps its class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Batch:
    """Training images, and what an augmentation may need to know about them."""

    images: Tensor  # (batch, 1, height, width) float32 in 0..1
    positions: Tensor  # (batch,) int64: where each stands in the training set
    epoch: int  # 1-based
    mirror_keeps_class: bool
    generator: torch.Generator  # on the CPU, whatever the device of the images


Augmentation = Callable[[Batch], Tensor]


def unchanged(batch: Batch) -> Tensor:
    return batch.images


def keras_shift_flip(batch: Batch) -> Tensor:
    """Keras's ``ImageDataGenerator(width_shift_range=0.1, height_shift_range=0.1, …flip)``.

    Each image moves by up to a tenth of its sides, uniformly and by parts of a pixel (bilinear),
    edges filled with the nearest pixel, and is mirrored with probability one half.
    """
    images = batch.images
    n, _, height, width = images.shape
    # A coordinate of grid_sample runs from -1 to 1 over the whole side, so a tenth of it is 0.2.
    shifts = torch.rand(n, 2, generator=batch.generator).mul_(0.4).sub_(0.2)
    across = torch.linspace(-1 + 1 / width, 1 - 1 / width, width).expand(n, width)
    if batch.mirror_keeps_class:
        mirrored = torch.rand(n, 1, generator=batch.generator) < 0.5
        across = torch.where(mirrored, -across, across)
    down = torch.linspace(-1 + 1 / height, 1 - 1 / height, height).expand(n, height)
    x = (across + shifts[:, :1])[:, None, :].expand(n, height, width)
    y = (down + shifts[:, 1:])[:, :, None].expand(n, height, width)
    grid = torch.stack((x, y), dim=-1).to(images.device)  # (batch, height, width, 2)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def crop_flip(batch: Batch, *, margin: int = 1) -> Tensor:
    """Shift by whole pixels, up to ``margin``, zeros coming in; mirror every second epoch.

    Half of the images are mirrored in odd epochs and the other half in even ones, so that two
    successive epochs show each image both ways (Jordan 2024, arXiv 2404.00498, section 3.6).
    """
    images = batch.images
    n, _, height, width = images.shape
    padded = F.pad(images[:, 0], (margin,) * 4)
    windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # (n, 2m+1, 2m+1, height, width)
    corner = torch.randint(2 * margin + 1, (2, n), generator=batch.generator).to(images.device)
    rows = torch.arange(n, device=images.device)
    shifted = windows[rows, corner[0], corner[1]]
    if batch.mirror_keeps_class:
        # One bit of a multiplicative hash: a fixed half of the images in no pattern of places.
        half = (batch.positions * 2654435761 >> 30) + batch.epoch & 1
        mirrored = half.bool().to(images.device)[:, None, None]
        shifted = torch.where(mirrored, shifted.flip(-1), shifted)
    return shifted[:, None]


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": unchanged,
    "keras-shift-flip": keras_shift_flip,
    "crop-flip": crop_flip,
}
