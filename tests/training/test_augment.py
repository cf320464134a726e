from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from fittingroom.training.augment import AUGMENTATIONS, Batch, crop_flip, keras_shift_flip


def batch(images: torch.Tensor, *, mirror: bool, epoch: int = 1, seed: int = 0) -> Batch:
    return Batch(
        images=images,
        positions=torch.arange(len(images)),
        epoch=epoch,
        mirror_keeps_class=mirror,
        generator=torch.Generator().manual_seed(seed),
    )


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_keeps_shape_type_and_input(name: str) -> None:
    images = torch.rand(7, 1, 28, 20)
    before = images.clone()
    changed = AUGMENTATIONS[name](batch(images, mirror=True))
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert torch.equal(images, before)
    assert 0 <= changed.min() <= changed.max() <= 1


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_generator_gives_the_same_images(name: str) -> None:
    images = torch.rand(9, 1, 28, 28)
    first, again, other = (
        AUGMENTATIONS[name](batch(images, mirror=True, seed=seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert torch.equal(first, other) is (name == "none")


def test_keras_shift_is_bilinear_with_the_nearest_pixel_at_the_edge() -> None:
    images = torch.rand(40, 1, 28, 28)
    shifted = keras_shift_flip(batch(images, mirror=False, seed=5)).numpy()
    # The same draws, as fractions of the side, through SciPy's interpolation (Keras's own).
    draws = torch.rand(40, 2, generator=torch.Generator().manual_seed(5)) * 0.2 - 0.1
    assert draws.abs().max() > 0.09
    for image, result, (x, y) in zip(images.numpy(), shifted, draws.numpy() * 28, strict=True):
        expected = ndimage.shift(image[0], (-y, -x), order=1, mode="nearest")
        np.testing.assert_allclose(result[0], expected, atol=1e-4)


def test_keras_flip_mirrors_half_and_only_where_allowed() -> None:
    ramp = torch.linspace(0, 1, 28).expand(1000, 1, 28, 28).contiguous()
    flipped = keras_shift_flip(batch(ramp, mirror=True))
    falling = (flipped[:, 0, 14, 4] > flipped[:, 0, 14, 24]).float().mean()
    assert 0.45 < falling < 0.55
    never = keras_shift_flip(batch(ramp, mirror=False))
    assert (never[:, 0, 14, 4] < never[:, 0, 14, 24]).all()


def test_crop_shifts_by_whole_pixels_with_zeros() -> None:
    image = torch.rand(1, 1, 10, 10) + 0.1
    seen = {
        tuple(shifted.flatten().tolist())
        for shifted in crop_flip(batch(image.expand(300, 1, 10, 10), mirror=False))
    }
    padded = torch.nn.functional.pad(image[0, 0], (1, 1, 1, 1))
    expected = {
        tuple(padded[y : y + 10, x : x + 10].flatten().tolist()) for y in range(3) for x in range(3)
    }
    assert seen == expected


def test_two_successive_epochs_show_each_image_both_ways() -> None:
    ramp = torch.linspace(0.1, 1, 28).expand(2000, 1, 28, 28)
    mirrored = []
    for epoch in (1, 2, 3):
        images = crop_flip(batch(ramp, mirror=True, epoch=epoch))
        mirrored.append(images[:, 0, 14, 4] > images[:, 0, 14, 24])
    assert torch.equal(mirrored[0], ~mirrored[1])
    assert torch.equal(mirrored[0], mirrored[2])
    assert 0.4 < mirrored[0].float().mean() < 0.6
    neighbours = (mirrored[0][1:] == mirrored[0][:-1]).float().mean()
    assert 0.3 < neighbours < 0.7


def test_crop_mirrors_only_where_allowed() -> None:
    ramp = torch.linspace(0.1, 1, 28).expand(200, 1, 28, 28)
    images = crop_flip(batch(ramp, mirror=False))
    assert (images[:, 0, 14, 4] < images[:, 0, 14, 24]).all()
