"""Imitated photos, of figures drawn here: what is done to which of them, and what never is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fittingroom.data.dataset import Dataset
from fittingroom.kernels.compiled import count_parts
from fittingroom.training.imitation import SPOILT, SPREAD, _silhouette, imitated

Figure = NDArray[np.float32]  # (28, 28) in 0..1


def drawn(*parts: tuple[slice | int, slice | int], brightness: float = 0.6) -> Figure:
    """A figure of rectangles: rows, columns."""
    figure = np.zeros((28, 28), np.float32)
    for part in parts:
        figure[part] = brightness
    return figure


def trousers() -> Figure:
    legs = np.s_[9:27, 8:12], np.s_[9:27, 16:20]
    return drawn(np.s_[1:9, 8:20], *legs)


def pullover() -> Figure:
    """Long sleeves hang at its sides, a dark line between."""
    figure = drawn(np.s_[1:27, 3:25])
    figure[5:27, [8, 19]] = 0.1
    return figure


def shirt() -> Figure:
    return drawn(np.s_[1:27, 8:20], np.s_[2:12, 5:23])


def bottle() -> Figure:
    return drawn(np.s_[4:24, 10:18])


def hammer() -> Figure:
    """Wide above and narrow below."""
    return drawn(np.s_[1:8, 4:24], np.s_[8:27, 11:17])


def corner() -> Figure:
    """Upright at the left, a foot to the right; too narrow to have sleeves."""
    return drawn(np.s_[2:26, 8:13], np.s_[20:26, 8:20])


def disc() -> Figure:
    down, across = np.mgrid[:28, :28] - 13.5
    return np.where(np.hypot(down, across) < 10, 0.6, 0).astype(np.float32)


def photos_of(
    figure: Figure, *, mirror: bool = False, n: int = 600, seed: int = 0
) -> tuple[Figure, NDArray[np.bool_]]:
    """Many photos (n, 28, 28) of one figure, and which are spoilt."""
    images = torch.from_numpy(figure).expand(n, 1, *figure.shape)
    generator = torch.Generator().manual_seed(seed)
    photos, spoilt = imitated(images, mirror=mirror, generator=generator)
    return photos[:, 0].numpy(), spoilt.numpy()


def sides(photos: Figure) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Rows and columns of each photo (n, 28, 28) where something is."""
    there = photos > 0.01
    return there.any(axis=2).sum(axis=1), there.any(axis=1).sum(axis=1)


def form(photos: Figure) -> NDArray[np.floating]:
    """Width over height of what each photo shows."""
    height, width = sides(photos)
    return width / height


def width_at(photos: Figure, share: float) -> NDArray[np.integer]:
    """Pixels of a row at some share of the height of what each photo shows, at least one."""
    widths = []
    for there in photos > 0.01:
        rows = np.flatnonzero(there.any(axis=1))
        widths.append(max(1, there[int(rows[0] + share * len(rows))].sum()))
    return np.array(widths)


def elongation(photos: Figure) -> NDArray[np.floating]:
    """Variance of what each photo shows along its longer axis, over that along its shorter one."""
    variances = [np.linalg.eigvalsh(np.cov(np.argwhere(photo > 0.01).T)) for photo in photos]
    return np.array([most / least for least, most in variances])


@pytest.fixture(scope="module")
def real(small: Dataset) -> torch.Tensor:
    """300 images (300, 1, 28, 28) of all classes."""
    return torch.from_numpy(small.train.images[:300].copy())[:, None].float() / 255


def test_images_stay_images(real: torch.Tensor) -> None:
    before = real.clone()
    photos, spoilt = imitated(real, mirror=True, generator=torch.Generator().manual_seed(0))
    assert torch.equal(real, before)
    assert photos.shape == real.shape
    assert photos.dtype == torch.float32
    assert spoilt.shape == (300,)
    assert spoilt.dtype == torch.bool
    assert 0 <= photos.min() < photos.max() <= 1
    assert (photos != real).flatten(1).any(dim=1).all()
    assert (photos == 0).flatten(1).any(dim=1).all()
    height, width = sides(photos[:, 0].numpy())
    assert np.mean(np.maximum(height, width) > 24) > 0.95  # it fills the image, nearly


def test_the_same_generator_gives_the_same_photos_on_any_number_of_threads(
    real: torch.Tensor,
) -> None:
    found = {}
    before = torch.get_num_threads()
    try:
        for name, threads, seed in (("one", 1, 3), ("two", 2, 3), ("other", 1, 4)):
            torch.set_num_threads(threads)
            assert count_parts(300, 100 * real.numel()) == threads
            generator = torch.Generator().manual_seed(seed)
            found[name] = imitated(real, mirror=True, generator=generator)
    finally:
        torch.set_num_threads(before)
    for one, two, other in zip(*found.values(), strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, other)


def test_a_photo_depends_on_its_own_image_alone(real: torch.Tensor) -> None:
    changed = real.clone()
    changed[::2] = 0
    (first, _), (second, _) = (
        imitated(images, mirror=True, generator=torch.Generator().manual_seed(1))
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
    there = photos[~spoilt] > 0
    assert there[:, shape[0] // 2, shape[1] // 2].mean() > 0.8
    assert 0.2 < there.mean() < 0.9


def test_a_share_of_the_images_is_spoilt(real: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    _, spoilt = imitated(real.repeat(10, 1, 1, 1), mirror=True, generator=generator)
    assert float(spoilt.float().mean()) == pytest.approx(SPOILT, abs=0.03)


def test_spoilt_trousers_are_shorts() -> None:
    photos, spoilt = photos_of(trousers())
    assert np.median(form(photos)[~spoilt]) == pytest.approx(0.6, abs=0.1)
    short = form(photos)[spoilt]
    assert np.median(short) == pytest.approx(1, abs=0.1)
    assert ((short > 0.7) & (short < 1.45)).mean() > 0.75


def test_what_is_long_and_has_no_legs_may_lose_its_upper_part() -> None:
    photos, spoilt = photos_of(hammer())
    even = width_at(photos, 0.2) / width_at(photos, 0.8) < 1.5  # a handle without a head
    assert even[~spoilt].mean() < 0.1
    assert 0.58 < even[spoilt].mean() < 0.9  # of halves cut at any angle 0.45


def test_what_is_narrow_may_be_laid_on_its_side() -> None:
    photos, spoilt = photos_of(bottle())
    wide = form(photos) > 1.2
    assert wide[~spoilt].mean() < 0.02
    assert 0.5 < wide[spoilt].mean() < 0.8


@pytest.mark.parametrize("off", [0, 4])
def test_anything_else_is_cut_in_half(off: int) -> None:
    photos, spoilt = photos_of(np.roll(disc(), (off, -off), (0, 1)))
    found = elongation(photos)
    assert np.median(found[~spoilt]) < 1.8  # a disc, made wider
    assert np.median(found[spoilt]) > 2.5  # half a disc: 3.6


def test_no_spoilt_image_is_shown_whole() -> None:
    """Half of what lies in a corner of the image is taken away, too."""
    photos, spoilt = photos_of(drawn(np.s_[1:8, 1:8]))
    found = elongation(photos)
    assert np.median(found[~spoilt]) < 1.8
    assert np.median(found[spoilt]) > 2.5
    assert found[spoilt].min() > 1.1
    angle = drawn(np.s_[4:24, 4], np.s_[23, 4:24])  # of which half may be next to nothing
    photos, spoilt = photos_of(angle)
    assert (photos != angle).any(axis=(1, 2)).all()
    left = (photos > 0).sum(axis=(1, 2))
    assert left[spoilt].min() < 4 <= left[~spoilt].min()


def test_long_sleeves_are_spread_and_leave_the_body() -> None:
    photos, spoilt = photos_of(pullover())
    small = drawn(np.s_[4:24, 5:22])  # in the same form, but too short to have sleeves
    others, spoilt_too = photos_of(small)
    assert 0.25 < (form(photos)[~spoilt] > 1.4).mean() < SPREAD
    assert (form(others)[~spoilt_too] > 1.4).mean() < 0.08
    # Below, of 22 pixels beside 26 the body alone is left: 10.
    bodies = [
        width_at(figures, 0.9) / sides(figures)[0]
        for figures in (photos[~spoilt], others[~spoilt_too])
    ]
    assert 0.28 < (bodies[0] < 0.55).mean() < SPREAD
    assert (bodies[1] < 0.55).mean() < 0.1


def test_short_sleeves_are_spread() -> None:
    photos, spoilt = photos_of(shirt())
    small = drawn(np.s_[4:24, 9:19], np.s_[5:12, 7:21])  # too short and narrow to have sleeves
    others, spoilt_too = photos_of(small)
    ratios = [
        sides(figures)[1] / width_at(figures, 0.75)
        for figures in (photos[~spoilt], others[~spoilt_too])
    ]
    assert 0.3 < (ratios[0] > 1.9).mean() < SPREAD
    assert (ratios[1] > 1.9).mean() < 0.1


def test_short_sleeves_leave_the_body_below_them() -> None:
    photos, spoilt = photos_of(shirt())
    height, _ = sides(photos[~spoilt])
    # 12 pixels of 26, a tenth wider on the whole.
    body = np.median(width_at(photos[~spoilt], 0.75) / height)
    assert body == pytest.approx(1.1 * 12 / 26, abs=0.06)


@pytest.mark.parametrize("mirror", [False, True])
def test_images_are_mirrored_only_where_allowed(mirror: bool) -> None:
    photos, spoilt = photos_of(corner(), mirror=mirror)
    across = np.arange(28)
    upper, foot = (
        (part * across).sum(axis=(1, 2)) / part.sum(axis=(1, 2))
        for part in (photos[~spoilt, 4:14], photos[~spoilt, -6:])
    )
    as_drawn = np.mean(upper < foot)
    assert (0.4 < as_drawn < 0.6) if mirror else as_drawn > 0.98


def test_the_fabric_is_anything() -> None:
    """One brightness becomes many, most near the original, and no object is ever black."""
    photos, spoilt = photos_of(disc())
    middles = photos[~spoilt][:, 8:20, 8:20]
    shades = np.median(middles, axis=(1, 2))
    assert 0.4 < np.mean(np.abs(shades - 0.6) < 0.15) < 0.9
    assert shades.min() < 0.3
    assert shades.max() > 0.8
    assert (middles > 0).all(axis=(1, 2)).mean() > 0.9  # but for some holes in the cut-out
    assert len(np.unique(middles)) > 10_000


def silhouette(figure: Figure) -> Figure:
    mask = np.empty_like(figure)
    _silhouette(figure, mask)
    return mask


def test_the_silhouette_closes_small_gaps_and_fills_what_is_surrounded() -> None:
    down, across = np.mgrid[:28, :28] - 13.5
    far = np.hypot(down, across)
    ring = np.where((far < 12) & (far > 8), 0.5, 0).astype(np.float32)
    np.testing.assert_array_equal(silhouette(ring), far < 12)
    for figure in (trousers(), shirt(), corner()):  # what is open stays open
        np.testing.assert_array_equal(silhouette(figure), figure > 0)
    cut = trousers()
    cut[14] = 0  # a black line across both legs
    np.testing.assert_array_equal(silhouette(cut), trousers() > 0)
    dim = drawn(np.s_[1:27, 9:19], brightness=0.04)
    np.testing.assert_array_equal(silhouette(dim), dim > 0)
    faint = np.full((28, 28), 0.02, np.float32)
    assert not silhouette(faint).any()
    for place in ([1, 1], [0, 0], [27, 26]):  # near the border nothing is added, nothing lost
        dot = np.zeros((28, 28), np.float32)
        dot[tuple(place)] = 1
        np.testing.assert_array_equal(silhouette(dot), dot)
