"""Random changes to training images, made on whole batches.

An augmentation is a function and a row of ``AUGMENTATIONS``. It takes a ``Batch`` and returns
images of the same shape. Mirroring happens only where a mirrored image keeps its class.

What changes labels too comes after it: a function and a row of ``MIXINGS`` under the
augmentation's name. It returns the images and a ``Mixture``.

Lots are drawn on the CPU, so that they are the same on every device, and sent to the images' device
without waiting for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from fittingroom.training.imitation import imitated


@dataclass(frozen=True, eq=False)
class Batch:
    """Training images, and what an augmentation may need to know about them."""

    images: Tensor  # (batch, 1, height, width) float32 in 0..1
    positions: Tensor  # (batch,) int64: where each stands in the training set
    epoch: int  # 1-based
    mirror_keeps_class: bool
    generator: torch.Generator  # on the CPU, whatever the device of the images


@dataclass(frozen=True, eq=False)
class Mixture:
    """Which other image of the batch each image shows a part of, and how much of it.

    No share is more than one half, so an image's own label stays the one with the larger share:
    that is the label that its training accuracy is counted against.
    """

    partners: Tensor  # (batch,) int64: places in the batch
    shares: Tensor  # (batch,) float32 in 0..1/2, of the partner
    nothing: Tensor  # (batch,) bool: shows none of the classes, so that all are as probable

    def of(self, targets: Tensor) -> Tensor:
        """Targets (batch, classes), rows that sum to one, mixed as the images are."""
        shares = self.shares[:, None].to(targets.dtype)
        mixed = torch.lerp(targets, targets[self.partners], shares)
        return torch.where(self.nothing[:, None], 1 / targets.shape[1], mixed)

    @staticmethod
    def joined(mixtures: Sequence[Mixture]) -> Mixture:
        """The mixture of successive batches taken as one."""
        partners, before = [], 0
        for mixture in mixtures:
            partners.append(mixture.partners + before)
            before += len(mixture.partners)
        shares, nothing = (
            torch.cat(parts)
            for parts in zip(*((m.shares, m.nothing) for m in mixtures), strict=True)
        )
        return Mixture(torch.cat(partners), shares, nothing)


Augmentation = Callable[[Batch], Tensor]
Mixing = Callable[[Batch], tuple[Tensor, Mixture]]

#: Random erasing: the share of images, the smallest and largest part of one, the longest form.
ERASED, SMALLEST, LARGEST, LONGEST = 0.5, 0.02, 1 / 3, 3.0
#: The share of images that another one's part is pasted into.
PASTED = 0.5
#: The share of images of which photos are imitated.
IMITATED = 0.6


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
    grid = _sent(torch.stack((x, y), dim=-1), images)  # (batch, height, width, 2)
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
    corner = _sent(torch.randint(2 * margin + 1, (2, n), generator=batch.generator), images)
    rows = torch.arange(n, device=images.device)
    shifted = windows[rows, corner[0], corner[1]]
    if batch.mirror_keeps_class:
        # One bit of a multiplicative hash: a fixed half of the images in no pattern of places.
        half = (batch.positions * 2654435761 >> 30) + batch.epoch & 1
        mirrored = _sent(half.bool(), images)[:, None, None]
        shifted = torch.where(mirrored, shifted.flip(-1), shifted)
    return shifted[:, None]


def crop_erase(batch: Batch) -> Tensor:
    """``crop_flip`` by up to four pixels, then a rectangle erased from half of the images.

    Random erasing (Zhong and others 2017, arXiv 1708.04896): a fiftieth to a third of the image,
    up to three times as long as wide, filled with the batch's mean.
    """
    images = crop_flip(batch, margin=4)
    n, generator = len(images), batch.generator
    erased = torch.rand(n, generator=generator) < ERASED
    areas = (SMALLEST + torch.rand(n, generator=generator) * (LARGEST - SMALLEST)) * erased
    forms = torch.exp(math.log(LONGEST) * (2 * torch.rand(n, generator=generator) - 1))
    inside, _ = _rectangles(areas, forms, images, generator)
    return torch.where(inside, images.mean(), images)


def cutmix(batch: Batch) -> tuple[Tensor, Mixture]:
    """Into half of the images, paste a rectangle from the same place of another of the batch.

    CutMix (Yun and others 2019, arXiv 1905.04899), drawn for each image: a rectangle in the form
    of the image, up to half of it, wholly inside. A larger one would be the same pair with the
    roles exchanged.
    """
    images, generator = batch.images, batch.generator
    n = len(images)
    partners = torch.randperm(n, generator=generator)
    pasted = torch.rand(n, generator=generator) < PASTED
    areas = torch.rand(n, generator=generator).div_(2) * pasted
    inside, shares = _rectangles(areas, torch.ones(n), images, generator)
    mixture = Mixture(
        _sent(partners, images),
        _sent(shares, images),
        _sent(torch.zeros(n, dtype=torch.bool), images),
    )
    return torch.where(inside, images[mixture.partners], images), mixture


def photos(batch: Batch) -> tuple[Tensor, Mixture]:
    """Imitate photos of some of the images; a spoilt one shows none of the classes."""
    images, generator = batch.images.clone(), batch.generator
    n, device = len(images), images.device
    chosen = torch.randperm(n, generator=generator)[: round(IMITATED * n)].to(device)
    nothing = torch.zeros(n, dtype=torch.bool, device=device)
    images[chosen], nothing[chosen] = imitated(
        images[chosen], mirror=batch.mirror_keeps_class, generator=generator
    )
    own = torch.arange(n, device=device)
    return images, Mixture(own, torch.zeros(n, device=device), nothing)


def _rectangles(
    areas: Tensor, forms: Tensor, images: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A rectangle at a random place in each image, sides rounded down to whole pixels.

    Parameters
    ----------
    areas : (n,) parts of the image, 0..1
    forms : (n,) height over width, where 1 is the form of the image; between the area and one over
        the area, or the rectangle wouldn't fit

    Returns
    -------
    whether a pixel lies inside (n, 1, height, width), and the part of the image that does (n,),
    which stays on the CPU
    """
    sides = torch.tensor(images.shape[2:])[:, None]  # (2, 1)
    lengths = (sides * torch.stack((areas * forms, areas / forms)).sqrt()).floor()  # (2, n)
    free = sides - lengths
    starts = (torch.rand(lengths.shape, generator=generator) * (free + 1)).floor().minimum(free)
    within = []  # (n, height), then (n, width)
    for side, start, length in zip(images.shape[2:], starts, lengths, strict=True):
        after = torch.arange(side) - start[:, None]
        within.append(_sent((after >= 0) & (after < length[:, None]), images))
    rows, columns = within
    return (rows[:, :, None] & columns[:, None])[:, None], lengths.prod(dim=0) / sides.prod()


def _sent(drawn: Tensor, images: Tensor) -> Tensor:
    """What was drawn, on the images' device; a GPU goes on with its work meanwhile."""
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
