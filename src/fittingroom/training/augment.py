"""Augmentation: random changes to whole batches of training images.

An augmentation is a function and a row of ``AUGMENTATIONS``. It takes a ``Batch`` and returns
images of the same shape. Images are mirrored only if a mirrored image keeps its class.

Changes that affect labels, too, come after it: a function and a row of ``MIXINGS`` under the
augmentation's name. It returns the images and a ``Mixture``.

Random numbers are drawn on the CPU, so that they are the same on every device, and sent to the
images' device without blocking.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fittingroom.kernels.compiled import compiled, compiled_within, in_parts
from fittingroom.kernels.tensors import can_compile, view
from fittingroom.training.imitation import imitate_photos


@dataclass(frozen=True, eq=False)
class Batch:
    """Training images, and what an augmentation may need to know about them."""

    images: Tensor  # (batch, 1, height, width) float32 in 0..1
    positions: Tensor  # (batch,) int64 in the training set
    epoch: int  # 1-based
    mirror_keeps_class: bool
    generator: torch.Generator  # on the CPU, whatever the device of the images


@dataclass(frozen=True, eq=False)
class Mixture:
    """Which other image of the batch each image shows a part of, and how much of it.

    No share exceeds one half, so an image's own label keeps the larger share: training accuracy is
    measured against that label.
    """

    partners: Tensor  # (batch,) int64 positions in the batch
    shares: Tensor  # (batch,) float32 in 0..1/2, of the partner
    nothing: Tensor  # (batch,) bool: shows none of the classes, so all are equally probable

    def of(self, targets: Tensor) -> Tensor:
        """Mix targets (batch, classes), whose rows sum to one, as the images are mixed."""
        shares = self.shares[:, None].to(targets.dtype)
        mixed = torch.lerp(targets, targets[self.partners], shares)
        return torch.where(self.nothing[:, None], 1 / targets.shape[1], mixed)

    @staticmethod
    def concatenate(mixtures: Sequence[Mixture]) -> Mixture:
        """The mixture of successive batches, as one batch."""
        partners, offset = [], 0
        for mixture in mixtures:
            partners.append(mixture.partners + offset)
            offset += len(mixture.partners)
        shares, nothing = (
            torch.cat(tensors)
            for tensors in zip(*((m.shares, m.nothing) for m in mixtures), strict=True)
        )
        return Mixture(torch.cat(partners), shares, nothing)


Augmentation = Callable[[Batch], Tensor]
Mixing = Callable[[Batch], tuple[Tensor, Mixture]]

#: Random erasing: the share of images, the least and greatest area, the greatest aspect ratio.
ERASED, SMALLEST, LARGEST, LONGEST = 0.5, 0.02, 1 / 3, 3.0
#: The share of images that a part of another image is pasted into.
PASTED = 0.5
#: The share of images that are made to look like photos.
IMITATED = 0.6


def unchanged(batch: Batch) -> Tensor:
    return batch.images


def keras_shift_flip(batch: Batch) -> Tensor:
    """Keras's ``ImageDataGenerator(width_shift_range=0.1, height_shift_range=0.1, …flip)``.

    Each image is shifted by up to a tenth of its sides, uniformly and by fractions of a pixel
    (bilinear), with edges filled from the nearest pixel, and mirrored with probability one half.
    """
    images = batch.images
    n, _, height, width = images.shape
    # grid_sample's coordinates run from -1 to 1 over the whole side, so a tenth of it is 0.2.
    shifts = torch.rand(n, 2, generator=batch.generator).mul_(0.4).sub_(0.2)
    across = torch.linspace(-1 + 1 / width, 1 - 1 / width, width).expand(n, width)
    if batch.mirror_keeps_class:
        mirrored = torch.rand(n, 1, generator=batch.generator) < 0.5
        across = torch.where(mirrored, -across, across)
    down = torch.linspace(-1 + 1 / height, 1 - 1 / height, height).expand(n, height)
    x = (across + shifts[:, :1])[:, None, :].expand(n, height, width)
    y = (down + shifts[:, 1:])[:, :, None].expand(n, height, width)
    grid = _to_device(torch.stack((x, y), dim=-1), images)  # (batch, height, width, 2)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def crop_flip(batch: Batch, *, margin: int = 1) -> Tensor:
    """Shift by up to ``margin`` whole pixels, padding with zeros; mirror every second epoch.

    Half of the images are mirrored in odd epochs and the other half in even ones, so that two
    successive epochs show each image both ways (Jordan 2024, arXiv 2404.00498, section 3.6).
    """
    images = batch.images
    n, _, height, width = images.shape
    corners = torch.randint(2 * margin + 1, (2, n), generator=batch.generator)
    if can_compile(images) and images.dtype == torch.float32:
        pixels = images[:, 0].contiguous()
        shifted = torch.empty_like(pixels)
        draws = batch.positions.numpy(), batch.epoch if batch.mirror_keeps_class else -1
        shift = view(pixels), corners.numpy(), margin, *draws, view(shifted)
        in_parts(_shift_and_mirror, n, images.numel(), *shift)
        return shifted[:, None]
    padded = F.pad(images[:, 0], (margin,) * 4)
    windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # (n, 2m+1, 2m+1, height, width)
    corners = _to_device(corners, images)
    shifted = windows[torch.arange(n, device=images.device), corners[0], corners[1]]
    if batch.mirror_keeps_class:
        half = _is_mirrored(batch.positions, batch.epoch)
        mirrored = _to_device(half.bool(), images)[:, None, None]
        shifted = torch.where(mirrored, shifted.flip(-1), shifted)
    return shifted[:, None]


@compiled_within
def _is_mirrored(position: Any, epoch: Any) -> Any:
    """One bit of a multiplicative hash: a fixed half of the images, at patternless positions."""
    return (position * 2654435761 >> 30) + epoch & 1


@compiled
def _shift_and_mirror(
    start: int,
    stop: int,
    part: int,
    x: Any,
    corners: Any,
    margin: int,
    positions: Any,
    epoch: int,
    y: Any,
) -> None:
    """Negative epochs mirror nothing."""
    height, width = x.shape[1:]
    for i in range(start, stop):
        down, across = corners[0, i] - margin, corners[1, i] - margin
        mirrored = epoch >= 0 and _is_mirrored(positions[i], epoch)
        first, last = max(0, -across), min(width, width - across)  # columns inside the image
        for r in range(height):
            for c in range(width):
                y[i, r, c] = 0
            if not 0 <= r + down < height:
                continue
            # Unsigned, since a compiler makes no vectors of columns that may count from the end.
            row, begin = np.uintp(r + down), np.uintp(first + across)
            if mirrored:
                for c in range(np.uintp(last - first)):
                    y[i, r, np.uintp(width - 1 - first) - c] = x[i, row, begin + c]
            else:
                for c in range(np.uintp(last - first)):
                    y[i, r, np.uintp(first) + c] = x[i, row, begin + c]


def crop_erase(batch: Batch) -> Tensor:
    """``crop_flip`` by up to four pixels, then erase a rectangle from half of the images.

    Random erasing (Zhong et al. 2017, arXiv 1708.04896): a fiftieth to a third of the image, up to
    three times as long as wide, filled with the batch's mean.
    """
    images = crop_flip(batch, margin=4)
    n, generator = len(images), batch.generator
    erased = torch.rand(n, generator=generator) < ERASED
    areas = (SMALLEST + torch.rand(n, generator=generator) * (LARGEST - SMALLEST)) * erased
    ratios = torch.exp(math.log(LONGEST) * (2 * torch.rand(n, generator=generator) - 1))
    inside, _ = _rectangles(areas, ratios, images, generator)
    return torch.where(inside, images.mean(), images)


def cutmix(batch: Batch) -> tuple[Tensor, Mixture]:
    """Paste into half of the images a rectangle from the same place in another of the batch.

    CutMix (Yun et al. 2019, arXiv 1905.04899), drawn per image: a rectangle with the image's aspect
    ratio, up to half its area, wholly inside. A larger one would be the same pair with the roles
    exchanged.
    """
    images, generator = batch.images, batch.generator
    n = len(images)
    partners = torch.randperm(n, generator=generator)
    pasted = torch.rand(n, generator=generator) < PASTED
    areas = torch.rand(n, generator=generator).div_(2) * pasted
    inside, shares = _rectangles(areas, torch.ones(n), images, generator)
    mixture = Mixture(
        _to_device(partners, images),
        _to_device(shares, images),
        _to_device(torch.zeros(n, dtype=torch.bool), images),
    )
    return torch.where(inside, images[mixture.partners], images), mixture


def photos(batch: Batch) -> tuple[Tensor, Mixture]:
    """Make some of the images look like photos; a spoilt one shows none of the classes."""
    images, generator = batch.images.clone(), batch.generator
    n, device = len(images), images.device
    chosen = torch.randperm(n, generator=generator)[: round(IMITATED * n)].to(device)
    nothing = torch.zeros(n, dtype=torch.bool, device=device)
    images[chosen], nothing[chosen] = imitate_photos(
        images[chosen], mirror=batch.mirror_keeps_class, generator=generator
    )
    own = torch.arange(n, device=device)
    return images, Mixture(own, torch.zeros(n, device=device), nothing)


def _rectangles(
    areas: Tensor, ratios: Tensor, images: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A rectangle at a random position in each image, sides rounded down to whole pixels.

    Parameters
    ----------
    areas : (n,) shares of the image, 0..1
    ratios : (n,) height over width, relative to the image's; between the area and one over the
        area, or the rectangle wouldn't fit

    Returns
    -------
    whether each pixel lies inside (n, 1, height, width), and the share of the image that does (n,),
    which stays on the CPU
    """
    sides = torch.tensor(images.shape[2:])[:, None]  # (2, 1)
    lengths = (sides * torch.stack((areas * ratios, areas / ratios)).sqrt()).floor()  # (2, n)
    free = sides - lengths
    starts = (torch.rand(lengths.shape, generator=generator) * (free + 1)).floor().minimum(free)
    within = []  # (n, height), then (n, width)
    for side, start, length in zip(images.shape[2:], starts, lengths, strict=True):
        offsets = torch.arange(side) - start[:, None]
        within.append(_to_device((offsets >= 0) & (offsets < length[:, None]), images))
    rows, columns = within
    return (rows[:, :, None] & columns[:, None])[:, None], lengths.prod(dim=0) / sides.prod()


def _to_device(drawn: Tensor, images: Tensor) -> Tensor:
    """Move random numbers to the images' device without blocking a GPU."""
    return drawn.to(images.device, non_blocking=images.is_cuda)


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": unchanged,
    "keras-shift-flip": keras_shift_flip,
    "crop-flip": crop_flip,
    "crop-erase": crop_erase,
    "crop-erase-mix": crop_erase,
    "photo": crop_flip,
}

MIXINGS: dict[str, Mixing] = {"crop-erase-mix": cutmix, "photo": photos}
