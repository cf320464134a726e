"""Imitated photos of figures drawn here: what happens to which of them, and what never does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fittingroom.data.dataset import Dataset
from fittingroom.kernels.compiled import count_parts
from fittingroom.training.imitation import SPOILT, SPREAD, _silhouette, imitate_photos

Figure = NDArray[np.float32]  # (28, 28) in 0..1


def draw(*rectangles: tuple[slice | int, slice | int], brightness: float = 0.6) -> Figure:
    """Draw rectangles: rows, columns."""
    figure = np.zeros((28, 28), np.float32)
    for rectangle in rectangles:
        figure[rectangle] = brightness
    return figure


def trousers() -> Figure:
    legs = np.s_[9:27, 8:12], np.s_[9:27, 16:20]
    return draw(np.s_[1:9, 8:20], *legs)


def pullover() -> Figure:
    """Long sleeves at its sides, separated by dark lines."""
    figure = draw(np.s_[1:27, 3:25])
    figure[5:27, [8, 19]] = 0.1
    return figure


def shirt() -> Figure:
    return draw(np.s_[1:27, 8:20], np.s_[2:12, 5:23])


def bottle() -> Figure:
    return draw(np.s_[4:24, 10:18])


def hammer() -> Figure:
    """Wide above and narrow below."""
    return draw(np.s_[1:8, 4:24], np.s_[8:27, 11:17])


def corner() -> Figure:
    """Upright at the left, a foot to the right; too narrow to have sleeves."""
    return draw(np.s_[2:26, 8:13], np.s_[20:26, 8:20])


def disc() -> Figure:
    down, across = np.mgrid[:28, :28] - 13.5
    return np.where(np.hypot(down, across) < 10, 0.6, 0).astype(np.float32)


def photos_of(
    figure: Figure, *, mirror: bool = False, n: int = 600, seed: int = 0
) -> tuple[Figure, NDArray[np.bool_]]:
    """Many photos (n, 28, 28) of one figure, and which are spoilt."""
    images = torch.from_numpy(figure).expand(n, 1, *figure.shape)
    generator = torch.Generator().manual_seed(seed)
    photos, spoilt = imitate_photos(images, mirror=mirror, generator=generator)
    return photos[:, 0].numpy(), spoilt.numpy()


def sides(photos: Figure) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """The numbers of rows and columns that aren't black in each photo (n, 28, 28)."""
    masks = photos > 0.01
    return masks.any(axis=2).sum(axis=1), masks.any(axis=1).sum(axis=1)


def aspect_ratio(photos: Figure) -> NDArray[np.floating]:
    """The width over height of each photo's object."""
    height, width = sides(photos)
    return width / height


def width_at(photos: Figure, share: float) -> NDArray[np.integer]:
    """The width of each photo's object at a share of its height, at least one pixel."""
    widths = []
    for mask in photos > 0.01:
        rows = np.flatnonzero(mask.any(axis=1))
        widths.append(max(1, mask[int(rows[0] + share * len(rows))].sum()))
    return np.array(widths)


def elongation(photos: Figure) -> NDArray[np.floating]:
    """The variance of each photo's object along its longer axis, over that along the shorter."""
    variances = [np.linalg.eigvalsh(np.cov(np.argwhere(photo > 0.01).T)) for photo in photos]
    return np.array([most / least for least, most in variances])


@pytest.fixture(scope="module")
def real(small: Dataset) -> torch.Tensor:
    """300 images (300, 1, 28, 28) of all classes."""
    return torch.from_numpy(small.train.images[:300].copy())[:, None].float() / 255


def test_images_stay_images(real: torch.Tensor) -> None:
    before = real.clone()
    photos, spoilt = imitate_photos(real, mirror=True, generator=torch.Generator().manual_seed(0))
    assert torch.equal(real, before)
    assert photos.shape == real.shape
    assert photos.dtype == torch.float32
    assert spoilt.shape == (300,)
    assert spoilt.dtype == torch.bool
    assert 0 <= photos.min() < photos.max() <= 1
    assert (photos != real).flatten(1).any(dim=1).all()
    assert (photos == 0).flatten(1).any(dim=1).all()
    height, width = sides(photos[:, 0].numpy())
    assert np.mean(np.maximum(height, width) > 24) > 0.95  # it nearly fills the image


def test_the_same_generator_gives_the_same_photos_on_any_number_of_threads(
    real: torch.Tensor,
) -> None:
    results = {}
    before = torch.get_num_threads()
    try:
        for name, threads, seed in (("one", 1, 3), ("two", 2, 3), ("other", 1, 4)):
            torch.set_num_threads(threads)
            assert count_parts(300, 100 * real.numel()) == threads
            generator = torch.Generator().manual_seed(seed)
            results[name] = imitate_photos(real, mirror=True, generator=generator)
    finally:
        torch.set_num_threads(before)
    for one, two, other in zip(*results.values(), strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, other)


def test_a_photo_depends_only_on_its_own_image(real: torch.Tensor) -> None:
    changed = real.clone()
    changed[::2] = 0
    (first, _), (second, _) = (
        imitate_photos(images, mirror=True, generator=torch.Generator().manual_seed(1))
        for images in (real, changed)
    )
    assert torch.equal(first[1::2], second[1::2])
    assert not torch.equal(first[::2], second[::2])


def test_a_black_image_stays_black() -> None:
    photos, _ = photos_of(np.zeros((28, 28), np.float32), n=50)
    assert (photos == 0).all()


@pytest.mark.parametrize("shape", [(32, 32), (20, 24), (24, 20), (8, 8), (64, 40)])
def test_images_of_other_sizes(shape: tuple[int, int]) -> None:
    figure = np.zeros(shape, np.float32)
    figure[1:-1, shape[1] // 4 : -(shape[1] // 4)] = 0.5
    photos, spoilt = photos_of(figure, n=60)
    assert photos.shape == (60, *shape)
    assert 0 < spoilt.sum() < 60
    assert np.isfinite(photos).all()
    covered = photos[~spoilt] > 0
    assert covered[:, shape[0] // 2, shape[1] // 2].mean() > 0.8
    assert 0.2 < covered.mean() < 0.9


def test_a_share_of_the_images_is_spoilt(real: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    _, spoilt = imitate_photos(real.repeat(10, 1, 1, 1), mirror=True, generator=generator)
    assert float(spoilt.float().mean()) == pytest.approx(SPOILT, abs=0.03)


def test_spoilt_trousers_are_shorts() -> None:
    photos, spoilt = photos_of(trousers())
    assert np.median(aspect_ratio(photos)[~spoilt]) == pytest.approx(0.6, abs=0.1)
    short = aspect_ratio(photos)[spoilt]
    assert np.median(short) == pytest.approx(1, abs=0.1)
    assert ((short > 0.7) & (short < 1.45)).mean() > 0.75


def test_a_long_object_without_legs_may_lose_its_upper_part() -> None:
    photos, spoilt = photos_of(hammer())
    even = width_at(photos, 0.2) / width_at(photos, 0.8) < 1.5  # a handle without a head
    assert even[~spoilt].mean() < 0.1
    assert 0.58 < even[spoilt].mean() < 0.9  # for halves cut at any angle 0.45


def test_a_narrow_object_may_be_laid_on_its_side() -> None:
    photos, spoilt = photos_of(bottle())
    wide = aspect_ratio(photos) > 1.2
    assert wide[~spoilt].mean() < 0.02
    assert 0.5 < wide[spoilt].mean() < 0.8


@pytest.mark.parametrize("off", [0, 4])
def test_anything_else_is_cut_in_half(off: int) -> None:
    photos, spoilt = photos_of(np.roll(disc(), (off, -off), (0, 1)))
    ratios = elongation(photos)
    assert np.median(ratios[~spoilt]) < 1.8  # a disc, made wider
    assert np.median(ratios[spoilt]) > 2.5  # half a disc: 3.6


def test_no_spoilt_image_is_shown_whole() -> None:
    """Half of an object in a corner of the image is cut off, too."""
    photos, spoilt = photos_of(draw(np.s_[1:8, 1:8]))
    ratios = elongation(photos)
    assert np.median(ratios[~spoilt]) < 1.8
    assert np.median(ratios[spoilt]) > 2.5
    assert ratios[spoilt].min() > 1.1
    angle = draw(np.s_[4:24, 4], np.s_[23, 4:24])  # half of it may be next to nothing
    photos, spoilt = photos_of(angle)
    assert (photos != angle).any(axis=(1, 2)).all()
    remaining = (photos > 0).sum(axis=(1, 2))
    assert remaining[spoilt].min() < 4 <= remaining[~spoilt].min()


def test_long_sleeves_are_spread_and_leave_the_body() -> None:
    photos, spoilt = photos_of(pullover())
    small = draw(np.s_[4:24, 5:22])  # of the same shape, but too short to have sleeves
    small_photos, small_spoilt = photos_of(small)
    assert 0.25 < (aspect_ratio(photos)[~spoilt] > 1.4).mean() < SPREAD
    assert (aspect_ratio(small_photos)[~small_spoilt] > 1.4).mean() < 0.08
    # Lower down only the body remains: 10 of 22 pixels wide, 26 high.
    bodies = [
        width_at(figures, 0.9) / sides(figures)[0]
        for figures in (photos[~spoilt], small_photos[~small_spoilt])
    ]
    assert 0.28 < (bodies[0] < 0.55).mean() < SPREAD
    assert (bodies[1] < 0.55).mean() < 0.1


def test_short_sleeves_are_spread() -> None:
    photos, spoilt = photos_of(shirt())
    small = draw(np.s_[4:24, 9:19], np.s_[5:12, 7:21])  # too short and narrow to have sleeves
    small_photos, small_spoilt = photos_of(small)
    ratios = [
        sides(figures)[1] / width_at(figures, 0.75)
        for figures in (photos[~spoilt], small_photos[~small_spoilt])
    ]
    assert 0.3 < (ratios[0] > 1.9).mean() < SPREAD
    assert (ratios[1] > 1.9).mean() < 0.1


def test_short_sleeves_leave_the_body_below_them() -> None:
    photos, spoilt = photos_of(shirt())
    height, _ = sides(photos[~spoilt])
    # 12 of 26 pixels, a tenth wider on average.
    body = np.median(width_at(photos[~spoilt], 0.75) / height)
    assert body == pytest.approx(1.1 * 12 / 26, abs=0.06)


@pytest.mark.parametrize("mirror", [False, True])
def test_images_are_mirrored_only_if_allowed(mirror: bool) -> None:
    photos, spoilt = photos_of(corner(), mirror=mirror)
    across = np.arange(28)
    upper, foot = (
        (part * across).sum(axis=(1, 2)) / part.sum(axis=(1, 2))
        for part in (photos[~spoilt, 4:14], photos[~spoilt, -6:])
    )
    as_drawn = np.mean(upper < foot)
    assert (0.4 < as_drawn < 0.6) if mirror else as_drawn > 0.98


def test_the_fabric_varies() -> None:
    """One brightness becomes many, most near the original; no object is ever black."""
    photos, spoilt = photos_of(disc())
    middles = photos[~spoilt][:, 8:20, 8:20]
    shades = np.median(middles, axis=(1, 2))
    assert 0.4 < np.mean(np.abs(shades - 0.6) < 0.15) < 0.9
    assert shades.min() < 0.3
    assert shades.max() > 0.8
    assert (middles > 0).all(axis=(1, 2)).mean() > 0.9  # except for some holes in the cut-out
    assert len(np.unique(middles)) > 10_000


def silhouette(figure: Figure) -> Figure:
    mask = np.empty_like(figure)
    _silhouette(figure, mask)
    return mask


def test_the_silhouette_closes_small_gaps_and_fills_holes() -> None:
    down, across = np.mgrid[:28, :28] - 13.5
    far = np.hypot(down, across)
    ring = np.where((far < 12) & (far > 8), 0.5, 0).astype(np.float32)
    np.testing.assert_array_equal(silhouette(ring), far < 12)
    for figure in (trousers(), shirt(), corner()):  # open shapes stay open
        np.testing.assert_array_equal(silhouette(figure), figure > 0)
    cut = trousers()
    cut[14] = 0  # a black line across both legs
    np.testing.assert_array_equal(silhouette(cut), trousers() > 0)
    dim = draw(np.s_[1:27, 9:19], brightness=0.04)
    np.testing.assert_array_equal(silhouette(dim), dim > 0)
    faint = np.full((28, 28), 0.02, np.float32)
    assert not silhouette(faint).any()
    for place in ([1, 1], [0, 0], [27, 26]):  # near the border nothing is added or lost
        dot = np.zeros((28, 28), np.float32)
        dot[tuple(place)] = 1
        np.testing.assert_array_equal(silhouette(dot), dot)
