"""digit.py: ink becomes images like MNIST's. It is drawn here, since MNIST isn't included."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import center_of_mass

from fittingroom.data.decode import Picture
from fittingroom.data.digit import render_digit

Pixels = NDArray[np.uint8]


def seven(size: tuple[int, int] = (200, 260), pen: int = 14) -> Pixels:
    """A seven in bright ink on black, off centre."""
    image = Image.new("L", size)
    ImageDraw.Draw(image).line([(40, 50), (120, 50), (80, 170)], fill=255, width=pen)
    return np.asarray(image)


def picture(grey: Pixels, opaque: NDArray[np.bool_] | None = None) -> Picture:
    alpha = None if opaque is None else 255 * opaque.astype(np.uint8)
    return Picture(np.repeat(grey[..., None], 3, axis=2), alpha)


def on_paper(ink: Pixels) -> Picture:
    """Dark ink on grey paper, with light that falls from one side, and noise."""
    down, across = np.linspace(110, 190, ink.shape[0]), np.linspace(-25, 35, ink.shape[1])
    paper = np.add.outer(down, across) * (1 - 0.7 * ink / 255.0)
    noisy = paper + np.random.default_rng(0).normal(0, 4, ink.shape)
    return picture(noisy.clip(0, 255).astype(np.uint8))


#: The same ink in different forms.
WAYS: dict[str, Callable[[Pixels], Picture]] = {
    "bright on black": lambda ink: picture(ink),
    "dark on white": lambda ink: picture(255 - ink),
    "on paper": on_paper,
    "white strokes on a transparent canvas": lambda ink: picture(np.full_like(ink, 255), ink > 127),
    "black strokes on a transparent canvas": lambda ink: picture(255 - ink, ink > 127),
    "moved": lambda ink: picture(np.roll(ink, (40, 60), (0, 1))),
    "twice as large": lambda ink: picture(np.kron(ink, np.ones((2, 2), np.uint8))),
    "with specks": lambda ink: picture(np.maximum(ink, specks(ink.shape))),
}


def specks(shape: tuple[int, ...]) -> Pixels:
    grey = np.zeros(shape, np.uint8)
    grey[5:7, 5:7] = grey[-8:-5, 20:22] = 255
    return grey


@pytest.mark.parametrize("way", WAYS)
def test_ink_is_found_in_every_form(way: str) -> None:
    plain = render_digit(picture(seven()), (28, 28)).views[0]
    (image,) = render_digit(WAYS[way](seven()), (28, 28)).views
    assert np.corrcoef(image.ravel(), plain.ravel())[0, 1] > 0.93
    down, across = center_of_mass(image)
    assert (down, across) == pytest.approx((13.5, 13.5), abs=0.8)
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(20, abs=1)
    assert image.max() == 255
    assert image[0, 0] == 0


def test_an_image_of_the_datas_size_is_at_most_negated() -> None:
    image = render_digit(picture(seven()), (28, 28)).views[0]
    for drawn in (image, 255 - image):
        rendering = render_digit(picture(drawn), (28, 28))
        np.testing.assert_array_equal(rendering.views, image[None])
        assert not rendering.is_photo


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_an_empty_picture_is_an_empty_image(grey: int) -> None:
    rendering = render_digit(picture(np.full((60, 50), grey, np.uint8)), (28, 28))
    assert not rendering.views.any()
    assert "nothing stands out" in rendering.decisions[0]


def test_other_shapes_keep_proportions() -> None:
    (image,) = render_digit(picture(seven()), (56, 42)).views
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert np.ptp(rows) / np.ptp(columns) == pytest.approx(134 / 94, abs=0.15)
    assert max(np.ptp(rows) / 56, np.ptp(columns) / 42) == pytest.approx(20 / 28, abs=0.05)
