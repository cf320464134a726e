"""cutout.py, on photos drawn here, whose object is known exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage
from skimage.color import rgb2lab

from fittingroom.data import cutout
from fittingroom.data.cutout import Cutout, Mask, cut_outs

SIDE = 112
RGB = tuple[int, int, int]
Ground = NDArray[np.float64]  # (112, 112, 3)

#: Outlines in units of a 28th of the picture; a second one and those that follow are holes.
SHIRT = [
    [
        *((10, 4), (18, 4), (25, 8), (22, 13), (20, 11)),
        *((20, 24), (8, 24), (8, 11), (6, 13), (3, 8)),
    ]
]
SLEEVED = [
    [
        *((11, 4), (17, 4), (20, 6), (25, 22), (22, 23), (19, 12)),
        *((19, 24), (9, 24), (9, 12), (6, 23), (3, 22), (8, 6)),
    ]
]
#: Hands on hips: the background shows between sleeves and body.
AKIMBO = [
    [(10, 4), (18, 4), (26, 11), (26, 15), (20, 22), (20, 25), (8, 25), (8, 22), (2, 15), (2, 11)],
    [(19.5, 10), (23, 12.5), (23, 14), (19.5, 18)],
    [(8.5, 10), (5, 12.5), (5, 14), (8.5, 18)],
]
#: It leaves the picture below.
LONG = [[(10, 6), (18, 6), (21, 28), (7, 28)]]


def plain(colour: RGB) -> Ground:
    return np.tile(np.array(colour, float), (SIDE, SIDE, 1))


def gradient() -> Ground:
    down = np.linspace(0, 1, SIDE)[:, None, None]
    return plain((230, 225, 210)) * (1 - down) + plain((180, 180, 190)) * down


def tiles(first: RGB, second: RGB) -> Ground:
    rows, columns = np.mgrid[:SIDE, :SIDE] // 14
    return np.where(((rows + columns) % 2)[..., None] > 0, plain(first), plain(second))


def planks() -> Ground:
    """Wood: boards of several tones with dark gaps and a grain."""
    rng, ground = np.random.default_rng(5), plain((190, 150, 110))
    for left in range(0, SIDE, 16):
        ground[:, left : left + 16] *= rng.uniform(0.8, 1.1)
        ground[:, left] *= 0.5
    grain = Image.fromarray(rng.integers(0, 255, (SIDE // 8, SIDE), dtype=np.uint8))
    stretched = np.asarray(grain.resize((SIDE, SIDE), Image.Resampling.BICUBIC), float)
    return ground + 0.1 * (stretched[..., None] - 127)


def photo(
    outlines: Any, ground: Ground, colour: RGB, *, noise: float = 4, shadow: bool = False
) -> tuple[NDArray[np.uint8], Mask]:
    """An object on a background in uneven light, slightly blurred: the pixels and the true mask."""
    drawing = Image.new("L", (SIDE, SIDE))
    for number, outline in enumerate(outlines):
        corners = [(x * SIDE / 28, y * SIDE / 28) for x, y in outline]
        ImageDraw.Draw(drawing).polygon(corners, fill=0 if number else 255)
    mask = np.asarray(drawing) > 0
    if shadow:
        fallen = Image.fromarray(np.roll(np.asarray(drawing), (5, 5), (0, 1)))
        dark = np.asarray(fallen.filter(ImageFilter.GaussianBlur(4)))[..., None] / 255
        ground = ground * (1 - 0.35 * dark)
    pixels = np.where(mask[..., None], np.array(colour, float), ground)
    pixels = pixels * np.linspace(0.9, 1.1, SIDE)[:, None]
    pixels = (pixels + np.random.default_rng(0).normal(0, noise, pixels.shape)).clip(0, 255)
    blurred = Image.fromarray(pixels.astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.7))
    return np.asarray(blurred), mask


PLAIN: dict[str, tuple[NDArray[np.uint8], Mask]] = {
    "on white": photo(SHIRT, plain((245, 245, 245)), (180, 30, 40)),
    "in uneven light": photo(SHIRT, gradient(), (40, 60, 140)),
    "on tiles": photo(SHIRT, tiles((220, 220, 220), (120, 110, 100)), (200, 40, 40)),
    "on wood": photo(SLEEVED, planks(), (30, 40, 90)),
    "with a shadow": photo(SHIRT, plain((225, 225, 220)), (40, 90, 120), shadow=True),
    "white on light grey": photo(SHIRT, plain((205, 205, 205)), (245, 245, 245)),
    "dark on dark": photo(SHIRT, plain((70, 60, 55)), (25, 25, 30)),
    "in noise": photo(SHIRT, plain((150, 160, 150)), (200, 70, 40), noise=14),
    "at the border": photo(LONG, plain((230, 228, 220)), (150, 40, 60)),
}


def overlap(mask: Mask, true: Mask) -> float:
    """Intersection over union."""
    return float((mask & true).sum() / (mask | true).sum())


def cut_out(pixels: NDArray[np.uint8]) -> Cutout:
    """The best guess."""
    return cut_outs(pixels)[0]


def with_opencv(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    if there:
        assert cutout.cv2 is not None
    else:
        monkeypatch.setattr(cutout, "cv2", None)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(("opencv", "least"), [(True, 0.95), (False, 0.9)])
def test_the_object_is_found(
    name: str, opencv: bool, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_opencv(monkeypatch, opencv)
    pixels, true = PLAIN[name]
    before = pixels.copy()
    result = cut_out(pixels)
    np.testing.assert_array_equal(pixels, before)
    assert result.mask.shape == pixels.shape[:2]
    assert result.mask.dtype == np.bool_
    assert overlap(result.mask, true) > least, result.by
    assert result.by in (cutout._GUESSES if opencv else ["connection"])
    assert 1 < result.score < 3.6


def test_guesses_are_sorted_best_first() -> None:
    pixels, true = PLAIN["with a shadow"]
    cutouts = cut_outs(pixels)
    assert len({cutout.by for cutout in cutouts}) == len(cutouts) > 1
    scores = [cutout.score for cutout in cutouts]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0
    overlaps = [overlap(cutout.mask, true) for cutout in cutouts]
    assert overlaps[0] >= max(overlaps) - 0.03


@pytest.mark.parametrize("ground", [plain((210, 205, 200)), planks()], ids=["plain", "wood"])
def test_background_between_sleeves_and_body_is_not_object(ground: Ground) -> None:
    pixels, true = photo(AKIMBO, ground, (40, 60, 120))
    result = cut_out(pixels)
    assert overlap(result.mask, true) > 0.95
    between = ndimage.binary_erosion(ndimage.binary_fill_holes(true) & ~true, iterations=2)
    assert between.sum() > 200
    assert not result.mask[between].any()


def test_a_ring_has_a_hole() -> None:
    down, across = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    far = np.hypot(down, across)
    true = (far < 48) & (far > 18)
    pixels = np.where(true[..., None], plain((90, 40, 110)), plain((210, 205, 200)))
    pixels = pixels + np.random.default_rng(0).normal(0, 4, pixels.shape)
    assert overlap(cut_out(pixels.astype(np.uint8)).mask, true) > 0.95


def test_a_small_hole_is_filled() -> None:
    pixels, true = photo(SHIRT, plain((225, 225, 220)), (40, 90, 120))
    pixels = pixels.copy()
    pixels[58:62, 54:58] = (225, 225, 220)  # a label, of the ground's colour
    assert overlap(cut_out(pixels).mask, true) > 0.95
    assert cut_out(pixels).mask[58:62, 54:58].all()


def test_the_main_object_is_large_and_near_the_middle() -> None:
    pixels, true = photo(SHIRT, plain((225, 225, 220)), (40, 90, 120))
    pixels = pixels.copy()
    pixels[96:108, 4:24] = (40, 90, 120)
    assert overlap(cut_out(pixels).mask, true) > 0.95


@pytest.mark.parametrize("opencv", [True, False])
def test_the_same_picture_gives_the_same_cutout(
    opencv: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever random numbers were drawn before; in clouds of colour they would decide."""
    coarse = Image.fromarray(np.random.default_rng(1).integers(0, 256, (7, 7, 3), dtype=np.uint8))
    clouds = np.asarray(coarse.resize((80, 80), Image.Resampling.BICUBIC))
    cutouts = []
    for seed in (1, 8, 15):
        np.random.seed(seed)
        cutout.cv2.setRNGSeed(seed)
        with monkeypatch.context() as changed:
            with_opencv(changed, opencv)
            cutouts.append(cut_out(clouds))
    for other in cutouts[1:]:
        np.testing.assert_array_equal(cutouts[0].mask, other.mask)
        assert (cutouts[0].by, cutouts[0].score) == (other.by, other.score)


def test_the_true_mask_has_the_best_score() -> None:
    pixels, true = PLAIN["with a shadow"]
    lab = rgb2lab(pixels)

    def score(mask: Mask) -> float:
        return cutout._score(pixels, lab, mask)

    others = {
        "larger": ndimage.binary_dilation(true, iterations=6),
        "smaller": ndimage.binary_erosion(true, iterations=6),
        "beside": np.roll(true, 8, 1),
        "half": true & (np.arange(SIDE) < SIDE / 2),
        "background": ~true,
        "with the border": true | cutout._rim(true.shape, 0.02),
    }
    for name, mask in others.items():
        assert score(mask) < score(true) - 0.2, name
    assert score(np.zeros_like(true)) == score(np.ones_like(true)) == 0


def whole_picture(result: Cutout) -> bool:
    return result.by == "nothing" and bool(result.mask.all()) and result.score == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 224), (224, 1), (15, 100), (40, 50)])
def test_without_an_object_the_whole_picture_is_used(shape: tuple[int, int]) -> None:
    grey = np.full((*shape, 3), 120, np.uint8)
    assert whole_picture(cut_out(grey))
    if min(shape) < 16:
        noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
        assert whole_picture(cut_out(noise))
        assert len(cut_outs(noise)) == 1


def block(height: int, width: int, *, rows: slice, columns: slice) -> NDArray[np.uint8]:
    """Two colours and no noise, as no camera gives them."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[rows, columns] = (180, 30, 40)
    return pixels


STRANGE = {
    "a drawing": block(64, 48, rows=slice(12, 52), columns=slice(14, 34)),
    "a dot": block(40, 40, rows=slice(20, 21), columns=slice(20, 21)),
    "a corner": block(40, 40, rows=slice(0, 1), columns=slice(0, 1)),
    "halves": block(40, 40, rows=slice(0, 20), columns=slice(0, 40)),
    "stripes": block(40, 40, rows=slice(0, 40, 2), columns=slice(0, 40)),
    "a frame": 255 - block(40, 40, rows=slice(1, 39), columns=slice(1, 39)),
    "flat": block(16, 224, rows=slice(0, 16), columns=slice(90, 224)),
    "noise": np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8),
    "small": np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8),
}


@pytest.mark.parametrize("name", STRANGE)
@pytest.mark.parametrize("opencv", [True, False])
def test_strange_pictures_have_some_object(
    name: str, opencv: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_opencv(monkeypatch, opencv)
    result = cut_out(STRANGE[name])
    assert result.mask.shape == STRANGE[name].shape[:2]
    assert result.mask.any()
    assert np.isfinite(result.score)
    if name == "a drawing":
        assert overlap(result.mask, STRANGE[name][..., 1] < 255) > 0.95


@pytest.mark.parametrize("name", cutout._GUESSES)
def test_every_guess_has_object_and_background(name: str) -> None:
    pixels, true = PLAIN["with a shadow"]
    guess = cutout._GUESSES[name](pixels, rgb2lab(pixels))
    assert guess.dtype == np.uint8
    assert set(np.unique(guess)) <= {0, 1, 2, 3}
    likely = np.isin(guess, (cutout.OBJECT, cutout.MAYBE_OBJECT))
    assert likely[true].mean() > 0.5
    assert not likely[0].any()
    sure = guess == cutout.BACKGROUND
    assert sure.any()
    assert sure[true].mean() < 0.02
