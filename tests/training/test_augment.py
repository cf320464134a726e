from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from fittingroom.data.dataset import Dataset
from fittingroom.training.augment import (
    AUGMENTATIONS,
    IMITATED,
    MIXINGS,
    Batch,
    Mixture,
    crop_erase,
    crop_flip,
    cutmix,
    keras_shift_flip,
    photos,
)


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


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize(("margin", "sides"), [(1, (28, 28)), (4, (9, 5)), (4, (3, 2))])
def test_the_kernel_crops_as_other_devices_do(
    mirror: bool, epoch: int, margin: int, sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(60, 1, *sides)
    compiled = crop_flip(batch(images, mirror=mirror, epoch=epoch), margin=margin)
    monkeypatch.setattr("fittingroom.training.augment.can_compile", lambda _: False)
    other = crop_flip(batch(images, mirror=mirror, epoch=epoch), margin=margin)
    assert torch.equal(compiled, other)


def test_keras_shift_is_bilinear_with_the_nearest_pixel_at_the_edge() -> None:
    images = torch.rand(40, 1, 28, 28)
    shifted = keras_shift_flip(batch(images, mirror=False, seed=5)).numpy()
    # The same draws, as fractions of the side, through SciPy's interpolation (Keras's own).
    draws = torch.rand(40, 2, generator=torch.Generator().manual_seed(5)) * 0.2 - 0.1
    assert draws.abs().max() > 0.09
    for image, result, (x, y) in zip(images.numpy(), shifted, draws.numpy() * 28, strict=True):
        expected = ndimage.shift(image[0], (-y, -x), order=1, mode="nearest")
        np.testing.assert_allclose(result[0], expected, atol=1e-4)


def test_keras_flip_mirrors_half_and_only_if_allowed() -> None:
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


def test_crop_mirrors_only_if_allowed() -> None:
    ramp = torch.linspace(0.1, 1, 28).expand(200, 1, 28, 28)
    images = crop_flip(batch(ramp, mirror=False))
    assert (images[:, 0, 14, 4] < images[:, 0, 14, 24]).all()


@pytest.fixture(scope="module")
def lit(small: Dataset) -> torch.Tensor:
    """500 real images (500, 1, 28, 28) in 0..1; no pixel is black, so that zeros mark margins."""
    pixels = torch.from_numpy(small.train.images[:500].copy())[:, None]
    return pixels.float() / 510 + 0.5


def shift_of(image: torch.Tensor) -> tuple[int, int]:
    """By how many rows and columns an image without black pixels was shifted: down, right."""
    places = (image > 0).nonzero()
    (top, left), (bottom, right) = (
        ends.tolist() for ends in (places.min(dim=0).values, places.max(dim=0).values)
    )
    return top or bottom - 27, left or right - 27


def test_large_crops_stay_within_the_margin(lit: torch.Tensor) -> None:
    for mirror in (True, False):
        shifted = crop_flip(batch(lit, mirror=mirror), margin=4)
        shifts = [shift_of(image[0]) for image in shifted]
        assert {down for down, _ in shifts} == {right for _, right in shifts} == set(range(-4, 5))
        mirrored = 0
        for image, before, (down, right) in zip(shifted, lit, shifts, strict=True):
            moved = torch.roll(image[0], (-down, -right), (0, 1))
            inside = moved > 0
            same = torch.equal(moved[inside], before[0][inside])
            assert same or torch.equal(moved[inside], before[0].flip(-1)[inside])
            mirrored += not same
        assert (200 < mirrored < 300) if mirror else mirrored == 0


def rectangle_of(changed: torch.Tensor) -> tuple[int, int]:
    """Height and width of the changed pixels (h, w), if they fill a rectangle, else (0, 0)."""
    places = changed.nonzero()
    if not len(places):
        return 0, 0
    height, width = (places.max(dim=0).values - places.min(dim=0).values + 1).tolist()
    assert len(places) == height * width
    return height, width


@pytest.mark.parametrize("mirror", [True, False])
def test_half_of_the_images_lose_a_rectangle(lit: torch.Tensor, mirror: bool) -> None:
    original = batch(lit, mirror=mirror, seed=2)
    erased, unharmed = crop_erase(original), crop_flip(batch(lit, mirror=mirror, seed=2), margin=4)
    sizes = [rectangle_of(changed[0]) for changed in erased != unharmed]
    sizes = [size for size in sizes if size != (0, 0)]
    assert 200 < len(sizes) < 300
    for height, width in sizes:
        # Sides are rounded down by less than a pixel.
        assert height * width <= 28 * 28 / 3
        assert (height + 1) * (width + 1) > 0.02 * 28 * 28
        assert (height + 1) / width > 1 / 3
        assert (width + 1) / height > 1 / 3
    assert max(height * width for height, width in sizes) > 200
    assert min(height * width for height, width in sizes) < 40
    (filling,) = torch.unique(erased[erased != unharmed])
    assert float(filling) == pytest.approx(float(unharmed.mean()))


def test_a_part_of_another_image_is_pasted_and_its_share_returned(lit: torch.Tensor) -> None:
    mixed, mixture = cutmix(batch(lit, mirror=True, seed=1))
    assert sorted(mixture.partners.tolist()) == list(range(500))
    partners = lit[mixture.partners]
    assert ((mixed == lit) | (mixed == partners)).all()
    # Equal pixels of both images can't be told apart: marks have none.
    marks = torch.arange(500.0)[:, None, None, None].expand(500, 1, 28, 28)
    marked, again = cutmix(batch(marks, mirror=True, seed=1))
    assert torch.equal(again.partners, mixture.partners)
    pasted = (marked != marks)[:, 0]
    alone = mixture.partners == torch.arange(500)  # their own partners: nothing shows
    areas = torch.tensor([height * width for height, width in map(rectangle_of, pasted)])
    torch.testing.assert_close(mixture.shares[~alone], areas[~alone] / 784)
    assert 0 <= mixture.shares.min() <= mixture.shares.max() < 0.5
    is_mixed = mixture.shares > 0
    assert 200 < is_mixed.sum() < 300
    assert mixture.shares.max() > 0.4
    assert float(mixture.shares[is_mixed].mean()) == pytest.approx(0.235, abs=0.03)
    assert not mixture.nothing.any()


def test_mixed_targets_are_shares_that_sum_to_one(small: Dataset, lit: torch.Tensor) -> None:
    labels = torch.from_numpy(small.train.labels[:500].copy()).long()
    _, mixture = cutmix(batch(lit, mirror=True, seed=1))
    rows = mixture.of(torch.eye(10)[labels])
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(500))
    assert torch.equal(rows.argmax(dim=1), labels)  # an image's own label has the larger share
    partner_labels = labels[mixture.partners]
    own = torch.where(partner_labels == labels, 1.0, 1 - mixture.shares)
    torch.testing.assert_close(rows.gather(1, labels[:, None])[:, 0], own)
    both = rows.gather(1, labels[:, None]) + rows.gather(1, partner_labels[:, None])
    assert (both >= 1 - 1e-6).all()


def test_an_image_of_nothing_may_be_any_class() -> None:
    nothing = torch.tensor([False, True, False, True])
    shares = torch.tensor([0.0, 0.0, 0.25, 0.5])
    mixture = Mixture(torch.tensor([0, 1, 0, 2]), shares, nothing)
    targets = torch.eye(5)[torch.tensor([3, 1, 0, 2])]
    expected = torch.tensor(
        [
            [0.0, 0.0, 0.0, 1.0, 0.0],
            [0.2, 0.2, 0.2, 0.2, 0.2],
            [0.75, 0.0, 0.0, 0.25, 0.0],
            [0.2, 0.2, 0.2, 0.2, 0.2],
        ]
    )
    torch.testing.assert_close(mixture.of(targets), expected)
    assert mixture.of(targets.bfloat16()).dtype == torch.bfloat16


def test_mixtures_of_two_batches_can_be_joined(lit: torch.Tensor) -> None:
    for mix in (cutmix, photos):
        chunks = enumerate(torch.split(lit, 300))
        first, second = (mix(batch(chunk, mirror=True, seed=seed))[1] for seed, chunk in chunks)
        joined = Mixture.concatenate([first, second])
        assert len(joined.partners) == len(joined.shares) == len(joined.nothing) == 500
        assert joined.nothing.any() == (mix is photos)
        targets = torch.rand(500, 10)
        expected = torch.cat([first.of(targets[:300]), second.of(targets[300:])])
        assert torch.equal(joined.of(targets), expected)


@pytest.mark.parametrize("name", MIXINGS)
def test_the_same_generator_mixes_the_same_way(name: str, lit: torch.Tensor) -> None:
    (first, a), (again, b), (other, _) = (
        MIXINGS[name](batch(lit, mirror=True, seed=seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert torch.equal(a.partners, b.partners)
    assert torch.equal(a.shares, b.shares)
    assert torch.equal(a.nothing, b.nothing)
    assert not torch.equal(first, other)


def test_some_images_become_photos_and_the_others_are_unchanged(lit: torch.Tensor) -> None:
    before = lit.clone()
    mixed, mixture = photos(batch(lit, mirror=True))
    assert torch.equal(lit, before)
    assert mixed.shape == lit.shape
    assert torch.equal(mixture.partners, torch.arange(500))
    assert not mixture.shares.any()
    changed = (mixed != lit).flatten(1).any(dim=1)
    assert changed.sum() == round(IMITATED * 500) == 300
    assert changed[mixture.nothing].all()  # only a photo may show nothing
    assert 30 < mixture.nothing.sum() < 90
    assert not torch.equal(changed, torch.arange(500) < 300)


@pytest.mark.parametrize("mirror", [False, True])
def test_photos_are_mirrored_only_if_allowed(mirror: bool) -> None:
    """On an upright object with a foot to the right, unless it is spoilt."""
    images = torch.zeros(500, 1, 28, 28)
    images[..., 2:26, 8:13] = images[..., 20:26, 8:20] = 0.6
    mixed, mixture = photos(batch(images, mirror=mirror))
    across = torch.arange(28.0)
    upper, foot = (
        (part * across).sum(dim=(1, 2)) / part.sum(dim=(1, 2))
        for part in (mixed[~mixture.nothing, 0, 4:14], mixed[~mixture.nothing, 0, -6:])
    )
    mirrored = float((upper > foot).float().mean())
    assert (0.2 < mirrored < 0.4) if mirror else mirrored < 0.02


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 28)])
def test_small_images_and_batches_are_mixed_too(shape: tuple[int, int]) -> None:
    for n in (1, 2, 9):
        images = torch.rand(n, 1, *shape)
        erased = crop_erase(batch(images, mirror=True))
        mixed, mixture = cutmix(batch(erased, mirror=True))
        assert mixed.shape == images.shape
        assert mixture.shares.max() < 0.5


def on_another_device() -> Batch:
    """Tensors on `meta` have no values: reading one, or mixing devices, raises."""
    return Batch(
        images=torch.empty(7, 1, 28, 20, device="meta"),
        positions=torch.arange(7),
        epoch=1,
        mirror_keeps_class=True,
        generator=torch.Generator().manual_seed(0),
    )


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_never_waits_for_another_device(name: str) -> None:
    assert AUGMENTATIONS[name](on_another_device()).is_meta


@pytest.mark.parametrize("name", sorted(set(MIXINGS) - {"photo"}))  # which runs on the CPU
def test_mixing_never_waits_for_another_device(name: str) -> None:
    mixed, mixture = MIXINGS[name](on_another_device())
    assert mixed.is_meta
    assert mixture.of(torch.empty(7, 10, device="meta")).is_meta
