"""photo.py: a model is shown images of a photo that are like those of the data."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fittingroom.data import photo
from fittingroom.data.cutout import Cutout
from fittingroom.data.decode import Picture, decode
from fittingroom.data.photo import LEAST, TURNS, WIDTHS, render_garment
from fittingroom.data.rendering import Rendering
from fittingroom.data.sources import load_dataset

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def images(small: Path) -> Pixels:
    """200 images of the data, of all classes."""
    return np.array(load_dataset(small).test.images[::5])


def cut(pixels: Pixels, mask: NDArray[np.bool_]) -> Picture:
    """A picture whose object is known: the opaque part."""
    return Picture(pixels, 255 * mask.astype(np.uint8))


def block(
    rows: slice, columns: slice, grey: int = 60, shape: tuple[int, int] = (100, 120)
) -> Picture:
    """A grey block on a light background, cut out."""
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    pixels = np.where(mask[..., None], grey, 230).astype(np.uint8).repeat(3, axis=2)
    return cut(pixels, mask)


def grey(image: Pixels) -> Picture:
    return Picture(image[..., None].repeat(3, axis=2))


def box(image: Pixels) -> tuple[int, int, int, int]:
    """Top, height, left and width of what isn't black."""
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return rows[0], rows[-1] - rows[0] + 1, columns[0], columns[-1] - columns[0] + 1


def decisions_of(rendering: Rendering) -> bool:
    return len(rendering.decisions) > 0 and all(
        isinstance(text, str) and len(text.split()) > 2 for text in rendering.decisions
    )


def test_an_image_of_the_data_is_shown_as_it_is(images: Pixels) -> None:
    for image in images:
        rendering = render_garment(grey(image))
        np.testing.assert_array_equal(rendering.views, image[None])
        assert rendering.views.dtype == np.uint8
        assert rendering.mask.all()
        assert not rendering.is_photo
        assert decisions_of(rendering)


def rim(image: Pixels) -> Pixels:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


@pytest.mark.parametrize("method", [Image.Resampling.NEAREST, Image.Resampling.BICUBIC])
def test_an_enlarged_image_of_the_data_too(images: Pixels, method: Image.Resampling) -> None:
    alike = []
    for image in images[:60]:
        if np.median(rim(image)) == 0:
            large = np.asarray(Image.fromarray(image).resize((56, 56), method))
            rendering = render_garment(grey(large))
            assert len(rendering.views) == 1
            assert max(box(rendering.views[0])[1::2]) == 28
            alike.append(np.corrcoef(rendering.views[0].ravel(), image.ravel())[0, 1])
    # Trimmed and centred again they are slightly blurred, but in the same place.
    assert np.median(alike) > 0.93
    assert min(alike) > 0.8


@pytest.mark.parametrize(
    ("shape", "colour", "ground"),
    [
        ((65, 65), 200, 0),
        ((32, 32), 200, 40),
        ((28, 28), 60, 230),
        ((32, 32), 50, 0),
        ((28, 28), (200, 120, 120), 0),
    ],
    ids=["large", "not on black", "on a light ground", "dark", "coloured"],
)
def test_other_small_pictures_are_photos(
    shape: tuple[int, int], colour: int | tuple[int, int, int], ground: int
) -> None:
    pixels = np.full((*shape, 3), ground, np.uint8)
    pixels[4:-4, 8:-8] = colour
    rendering = render_garment(Picture(pixels))
    assert rendering.is_photo
    assert len(rendering.views) % (len(WIDTHS) * len(TURNS)) == 0


def test_the_first_view_follows_the_papers_steps() -> None:
    """Trim, shrink the longest edge to 28, centre, negate, grey; here by Pillow alone."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((100, 120), Image.Resampling.BICUBIC))
    drawing = Image.new("L", (100, 120))
    ImageDraw.Draw(drawing).ellipse((20, 10, 75, 105), fill=255)
    mask = np.asarray(drawing) > 0
    views = render_garment(cut(pixels, mask)).views

    negative = 255 - np.asarray(Image.fromarray(pixels).convert("L")).astype(int)
    black = Image.fromarray(np.where(mask, negative, 0).astype(np.uint8))
    trimmed = black.crop(drawing.getbbox())
    assert trimmed.size == (56, 96)
    expected = Image.new("L", (28, 28))
    expected.paste(trimmed.resize((16, 28), Image.Resampling.BOX), (6, 0))
    np.testing.assert_allclose(views[0].astype(int), np.asarray(expected), atol=2)


@pytest.mark.parametrize("shape", [(28, 28), (32, 32), (20, 36)])
@pytest.mark.parametrize(("tall", "wide"), [(80, 30), (30, 80), (50, 50), (3, 90), (20, 10)])
def test_the_object_fills_the_image_and_is_centred(
    tall: int, wide: int, shape: tuple[int, int]
) -> None:
    picture = block(slice(12, 12 + tall), slice(5, 5 + wide))
    rendering = render_garment(picture, shape)
    assert rendering.views.shape == (len(WIDTHS) * len(TURNS), *shape)
    assert rendering.views.dtype == np.uint8
    np.testing.assert_array_equal(rendering.mask, picture.opaque)
    top, height, left, width = box(rendering.views[0])
    assert height == shape[0] or width == shape[1]
    assert 2 * top + height - shape[0] in (0, 1)
    assert 2 * left + width - shape[1] in (0, 1)
    assert abs(height / width - tall / wide) <= max(tall / wide / width, 1 / width)


def test_a_dark_object_becomes_bright_and_a_white_one_is_not_lost() -> None:
    def middle(brightness: int) -> int:
        return int(render_garment(block(slice(10, 90), slice(20, 70), brightness)).views[0, 14, 14])

    assert [middle(brightness) for brightness in (0, 60, 200, 253)] == [255, 195, 55, 2]
    assert middle(254) == middle(255) == LEAST > 0
    corners = render_garment(block(slice(10, 90), slice(20, 70), 0)).views[:, 0, 0]
    assert (corners == 0).all()


def test_views_are_narrowed_and_rotated() -> None:
    views = render_garment(block(slice(5, 95), slice(40, 70))).views
    widths = [box(view)[3] for view in views[: len(WIDTHS)]]
    assert widths == [round(28 * 30 / 90 * width) for width in WIDTHS]
    assert WIDTHS[0] == 1
    assert TURNS[0] == 0

    def lean(view: Pixels) -> float:
        """By how many degrees its upper end leans to the right of its lower one."""
        across = np.arange(28)
        upper, lower = (
            float((row * across).sum() / row.sum())
            for row in (view[:8].astype(float), view[-8:].astype(float))
        )
        return math.degrees(math.atan2(upper - lower, 20))

    leans = [lean(view) for view in views[:: len(WIDTHS)]]
    assert leans == pytest.approx([-turn for turn in TURNS], abs=2)


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_the_opaque_part_of_a_file_is_the_object() -> None:
    image = Image.new("RGBA", (90, 70), (255, 255, 255, 0))
    ImageDraw.Draw(image).rectangle((20, 10, 49, 59), fill=(20, 20, 20, 255))
    rendering = render_garment(decode(encoded(image)))
    assert rendering.mask[10:60, 20:50].all()
    assert rendering.mask.sum() == 50 * 30
    assert box(rendering.views[0]) == (0, 28, 6, 17)
    assert "opaque" in rendering.decisions[0]
    assert decisions_of(rendering)


def test_a_large_photo_is_shrunk_and_its_object_cut_out() -> None:
    image = Image.new("RGB", (600, 400), (225, 222, 215))
    ImageDraw.Draw(image).rectangle((200, 60, 380, 340), fill=(30, 50, 110))
    grain = np.random.default_rng(0).normal(0, 4, (400, 600, 1))
    pixels = (np.asarray(image) + grain).clip(0, 255).astype(np.uint8)
    rendering = render_garment(Picture(pixels))
    assert rendering.mask.shape == (149, 224)
    assert rendering.mask.mean() == pytest.approx(180 * 280 / (600 * 400), abs=0.01)
    top, height, left, width = box(rendering.views[0])
    assert (top, height) == (0, 28)
    assert (left, width) == (5, 18)
    assert abs(int(rendering.views[0, 14, 14]) - (255 - 51)) < 8
    assert f"{rendering.mask.mean():.0%}" in rendering.decisions[1]
    assert decisions_of(rendering)
    assert rendering.weights.shape == rendering.views.shape[:1]
    assert rendering.weights.sum() == pytest.approx(1)
    assert (np.diff(rendering.weights) <= 0).all()
    again = render_garment(Picture(pixels))
    np.testing.assert_array_equal(again.views, rendering.views)
    assert again.decisions == rendering.decisions


def test_every_likely_outline_has_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """A score that is better by `BETTER` counts e times as much; negligible ones are dropped."""
    pixels = np.full((60, 60, 3), 100, np.uint8)
    masks = [np.zeros((60, 60), bool) for _ in range(3)]
    for mask, side in zip(masks, (40, 20, 30), strict=True):
        mask[:side, :40] = True
    scores = (2.0, 2.0 - photo.BETTER, 2.0 - 5 * photo.BETTER)
    guesses = [Cutout(m, "place", s) for m, s in zip(masks, scores, strict=True)]
    monkeypatch.setattr(photo, "cut_outs", lambda pixels: guesses)
    rendering = render_garment(Picture(pixels))
    each = len(WIDTHS) * len(TURNS)
    assert len(rendering.views) == 2 * each
    assert [box(view)[1] for view in rendering.views[::each]] == [28, 14]
    first, second = rendering.weights[0], rendering.weights[each]
    assert first / second == pytest.approx(math.e)
    np.testing.assert_array_equal(rendering.mask, masks[0])
    assert rendering.decisions[2] == "other outlines count 27%"


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (3, 3), (200, 150)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pictures_of_nothing(size: tuple[int, int], mode: str) -> None:
    rendering = render_garment(decode(encoded(Image.new(mode, size, "gray"))))
    assert rendering.views.shape == (len(WIDTHS) * len(TURNS), 28, 28)
    assert rendering.mask.all()
    assert rendering.decisions == ("no object found, the whole picture used", "object fills 100%")
    _, height, _, width = box(rendering.views[0])
    assert max(height, width) == 28
    assert rendering.views[0].max() == 127


@pytest.mark.parametrize("opaque", [0, 1, 5])
def test_a_file_that_is_almost_all_transparent(opaque: int) -> None:
    image = Image.new("RGBA", (80, 80), (255, 255, 255, 0))
    image.paste((30, 30, 30, 255), (40, 40, 40 + opaque, 40 + opaque))
    rendering = render_garment(decode(encoded(image)))
    assert rendering.views.shape == (len(WIDTHS) * len(TURNS), 28, 28)
    assert "opaque" not in rendering.decisions[0]
    assert decisions_of(rendering)


def test_black_pictures_stay_black_or_are_objects() -> None:
    """All black is a photo of something black, not an image of the data."""
    rendering = render_garment(grey(np.zeros((28, 28), np.uint8)))
    assert (rendering.views[0] == 255).all()
    empty = np.zeros((40, 40), bool)
    assert not photo._fit(np.where(empty, 1.0, 0.0), (28, 28)).any()
