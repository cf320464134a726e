"""The modules in web/, apart from the page that they make and the model that it runs.

`cutout.js` is near what `fittingroom predict` makes of the same pictures, where these are simple.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fittingroom.bundles.web_check import WEB
from fittingroom.data.dataset import Dataset
from fittingroom.data.decode import Picture, decode, on_white
from fittingroom.data.preparation import prepare
from fittingroom.javascript import inline_modules

if TYPE_CHECKING:
    from tests.conftest import Browser

CutOut = Callable[..., tuple[np.ndarray, np.ndarray | None, str]]


@pytest.fixture
def cut_out(evaluate: Callable[[str, str], Any]) -> CutOut:
    """`cut_out(rgba, preparation, drawn=True)`: the image, the mask and the sentence."""

    def cut(
        rgba: np.ndarray, preparation: str, shape: tuple[int, int] = (28, 28), **options: bool
    ) -> tuple[np.ndarray, np.ndarray | None, str]:
        height, width, _ = rgba.shape
        data = base64.b64encode(rgba.tobytes()).decode()
        bytes_ = f"Uint8Array.from(atob('{data}'), (c) => c.charCodeAt(0))"
        picture = f"{{ width: {width}, height: {height}, data: {bytes_} }}"
        rest = ", ".join(json.dumps(each) for each in (preparation, shape, options))
        made = f"cutOut({picture}, {rest})"
        plain = f"(({{ image, mask, how }}) => [[...image], mask && [...mask], how])({made})"
        image, mask, how = evaluate("cutout.js", plain)
        of_picture = None if mask is None else np.array(mask, bool).reshape(height, width)
        return np.array(image, np.uint8).reshape(shape), of_picture, how

    return cut


def rgba_of(rgb: np.ndarray) -> np.ndarray:
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]).astype(np.uint8)


def picture_of(rgba: np.ndarray) -> Picture:
    image, alpha = on_white(Image.fromarray(rgba))
    return Picture(np.asarray(image.convert("RGB")), alpha)


def smooth(height: int, width: int) -> np.ndarray:
    """A colourful picture with slow changes of colour, (height, width, 3)."""
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def boot_on_a_wall(small: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """A real boot (28, 28), and a picture of it: dark red on a light wall, at the left."""
    boot = small.test.images[np.flatnonzero(small.test.labels == 9)[0]]
    large = np.asarray(Image.fromarray(boot).resize((140, 140), Image.Resampling.BICUBIC), float)
    wall, red = np.array([226.0, 220, 208]), np.array([90.0, 20, 30])
    picture = np.tile(wall, (180, 240, 1))
    picture[20:160, 10:150] = wall + large[..., None] / 255 * (red - wall)
    return boot, rgba_of(picture)


@pytest.mark.parametrize("shape", [(28, 28), (20, 32)])
@pytest.mark.parametrize("sides", [(60, 100), (97, 41), (12, 9), (28, 28)])
def test_a_whole_picture_becomes_what_predict_makes_of_it(
    sides: tuple[int, int], shape: tuple[int, int], cut_out: CutOut
) -> None:
    rgba = rgba_of(smooth(*sides))
    expected = prepare(picture_of(rgba), "image", shape).views[0]
    image, mask, _ = cut_out(rgba, "image", shape)
    assert np.abs(image.astype(int) - expected).max() <= 1
    assert mask is None
    negative, _, _ = cut_out(rgba, "image", shape, negative=True)
    np.testing.assert_array_equal(negative, 255 - image)


@pytest.mark.parametrize("preparation", ["image", "image-on-black"])
def test_transparency_is_laid_on_the_datas_ground(preparation: Any, cut_out: CutOut) -> None:
    rgba = rgba_of(smooth(40, 40))
    rgba[:, 20:, 3] = np.linspace(255, 0, 20).astype(np.uint8)
    expected = prepare(picture_of(rgba), preparation, (28, 28)).views[0]
    image, _, _ = cut_out(rgba, preparation)
    assert np.abs(image.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("ink", [(20, 30, 90), (235, 240, 250)])
def test_a_digit_becomes_what_predict_makes_of_it(
    ink: tuple[int, int, int], cut_out: CutOut
) -> None:
    paper = 245 if sum(ink) < 380 else 15
    drawn = Image.new("RGB", (150, 200), (paper, paper, paper))
    pen = ImageDraw.Draw(drawn)
    pen.line([(40, 60), (95, 50), (70, 110), (60, 160)], fill=ink, width=11, joint="curve")
    pen.ellipse([130, 180, 132, 182], fill=ink)  # a speck
    rgba = rgba_of(np.asarray(drawn))
    expected = prepare(picture_of(rgba), "digit", (28, 28)).views[0]
    image, mask, how = cut_out(rgba, "digit")
    assert np.abs(image.astype(int) - expected).mean() < 4
    assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] > 0.98
    assert mask is not None
    assert mask[60, 40]
    assert not mask[181, 131]
    assert ("light" if paper > 127 else "dark") in how


def test_a_garment_is_found_trimmed_and_centred(small: Dataset, cut_out: CutOut) -> None:
    boot, rgba = boot_on_a_wall(small)
    image, mask, how = cut_out(rgba, "garment")
    assert mask is not None
    assert mask[20:160, 10:150][70, 70]
    assert mask[:, 160:].sum() == mask[:15].sum() == 0
    assert f"{mask.mean():.0%}" in how
    rows, columns = np.nonzero(image)
    assert (columns.min(), columns.max()) == (0, 27)
    assert abs((rows.min() + rows.max()) / 2 - 13.5) <= 0.5
    expected = prepare(picture_of(rgba), "garment", (28, 28)).views[0]
    assert np.corrcoef(image.ravel(), expected.ravel())[0, 1] > 0.9
    assert np.corrcoef(image.ravel(), boot.ravel())[0, 1] > 0.8


def test_a_real_photo_is_cut_out_as_by_predict(cut_out: CutOut) -> None:
    """A pullover on a wooden floor on which light falls unevenly."""
    file = Path(__file__).parents[2] / "docs" / "pictures" / "pullover.jpg"
    picture = decode(file, longest=224)
    image, mask, _ = cut_out(rgba_of(picture.pixels), "garment")
    rendering = prepare(picture, "garment", (28, 28))
    assert mask is not None
    assert (mask & rendering.mask).sum() / (mask | rendering.mask).sum() > 0.9
    assert np.corrcoef(image.ravel(), rendering.views[0].ravel())[0, 1] > 0.9


def test_a_white_garment_is_found_on_a_light_wall(cut_out: CutOut) -> None:
    rgb = np.full((160, 200, 3), 225, np.uint8)
    rgb[30:130, 60:140] = 248
    _, mask, _ = cut_out(rgba_of(rgb), "garment")
    assert mask is not None
    assert mask.sum() == 100 * 80


def test_transparency_is_the_ground_of_a_garment(cut_out: CutOut) -> None:
    rgba = np.zeros((50, 50, 4), np.uint8)
    rgba[10:40, 20:30] = (255, 255, 255, 255)
    image, mask, _ = cut_out(rgba, "garment")
    assert mask is not None
    assert mask.sum() == 300
    assert set(np.unique(image)) == {0, 2}  # a white garment isn't lost on black
    assert (image[:, 14] == 2).all()


@pytest.mark.parametrize("preparation", ["garment", "digit"])
def test_an_image_of_the_data_is_used_as_it_is(
    preparation: str, small: Dataset, cut_out: CutOut
) -> None:
    original = small.test.images[3]
    image, mask, _ = cut_out(rgba_of(np.dstack([original] * 3)), preparation)
    np.testing.assert_array_equal(image, original)
    assert mask is None


def test_without_an_object_the_whole_picture_is_used(cut_out: CutOut) -> None:
    plain = rgba_of(np.full((90, 120, 3), 60, np.uint8))
    image, mask, how = cut_out(plain, "garment")
    assert mask is not None
    assert mask.all()
    assert "No object stands out" in how
    assert image.max() == 195
    image, _, how = cut_out(plain, "digit")
    assert not image.any()
    assert how == "Nothing stands out from the ground."


@pytest.mark.parametrize("gap", [0, 14])
def test_what_lines_enclose_is_cloth(gap: int, cut_out: CutOut) -> None:
    drawn = Image.new("L", (336, 336))
    pen = ImageDraw.Draw(drawn)
    pen.line([(100 + gap, 60), (240, 60), (240, 280), (100, 280), (100, 60)], fill=255, width=12)
    rgba = np.dstack([np.full((336, 336, 3), 255, np.uint8), np.asarray(drawn)])
    image, mask, _ = cut_out(rgba, "garment", drawn=True)
    assert mask is None
    assert (image[8:20, 10:18] == 200).all()
    assert (image[0] > 200).any()
    assert not image[:, :3].any()
    assert not image[:, 25:].any()


def test_a_sandals_straps_enclose_nothing(cut_out: CutOut) -> None:
    drawn = Image.new("L", (336, 336))
    ImageDraw.Draw(drawn).line([(40, 60), (40, 280), (300, 280)], fill=255, width=12)
    rgba = np.dstack([np.full((336, 336, 3), 255, np.uint8), np.asarray(drawn)])
    image, _, _ = cut_out(rgba, "garment", drawn=True)
    assert not image[5:20, 8:].any()


def test_a_drawn_digit_is_centred_by_its_mass(cut_out: CutOut) -> None:
    drawn = Image.new("L", (336, 336))
    ImageDraw.Draw(drawn).line([(30, 20), (30, 150), (70, 150)], fill=255, width=24)
    rgba = np.dstack([np.full((336, 336, 3), 255, np.uint8), np.asarray(drawn)])
    image, _, _ = cut_out(rgba, "digit", drawn=True)
    mass = image / image.sum()
    assert abs((mass.sum(axis=1) * np.arange(28)).sum() - 13.5) <= 1
    assert abs((mass.sum(axis=0) * np.arange(28)).sum() - 13.5) <= 1
    assert image.any(axis=1).sum() == 20
    assert image.max() == 255
    for preparation, ground in (("image", 255), ("image", 0), ("image-on-black", 0)):
        whole, _, _ = cut_out(rgba, preparation, drawn=True, dark=ground == 0)
        assert whole[-1, -1] == ground
        assert abs(int(whole[10, 2]) - ground) > 200
    assert not cut_out(np.zeros((336, 336, 4), np.uint8), "digit", drawn=True)[0].any()


def test_shares_are_never_nothing_or_all(evaluate: Callable[[str, str], Any]) -> None:
    shares = evaluate("bars.js", "[0, 1e-9, 0.0099, 0.01, 0.746, 0.99, 0.9901, 1].map(percent)")
    assert shares == ["0%", "<1%", "<1%", "1%", "75%", "99%", ">99%", "100%"]


def rows(browser: Browser, n: int, probabilities: str) -> list[tuple[str, str, bool]]:
    """The names and shares that are listed, and whether each is marked as the best."""
    browser.open("about:blank")
    names = [f"c{k}" for k in range(n)]
    script = inline_modules(WEB, "bars.js")
    shown = browser.run(
        f"{script}\nconst list = document.body.appendChild(document.createElement('ol'));"
        f"const bars = new Bars(list, {names}); bars.show({probabilities});"
        "return bars.rows.map((r) => "
        "[r.name.textContent, r.share.textContent, r.item.className === 'best', r.bar.style.width])"
    )
    return [(name, share, best) for name, share, best, _ in shown]


def test_a_few_classes_keep_their_places(browser: Browser) -> None:
    assert rows(browser, 3, "[0.25, 0.7, 0.05]") == [
        ("c0", "25%", False),
        ("c1", "70%", True),
        ("c2", "5%", False),
    ]


def test_of_many_classes_the_most_probable_are_listed(browser: Browser) -> None:
    probabilities = [0.01] * 30
    probabilities[17], probabilities[4] = 0.51, 0.21
    shown = rows(browser, 30, str(probabilities))
    assert len(shown) == 10
    assert shown[:2] == [("c17", "51%", True), ("c4", "21%", False)]
