"""Pictures of any size, damaged ones, colours."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fittingroom.data import load_dataset
from fittingroom.data.decode import decode
from fittingroom.data.preparation import prepare
from fittingroom.errors import DataError


@pytest.fixture
def garments(small: Path, tmp_path: Path) -> Path:
    """Twelve boots and twelve bags as PNG files, without a split."""
    data = load_dataset(small)
    for label, name in ((8, "bag"), (9, "boot")):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for i, position in enumerate(np.flatnonzero(data.train.labels == label)[:12]):
            save(tmp_path / "mine" / name / f"{i:02}.png", data.train.images[position])
    return tmp_path / "mine"


def save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path)


def test_pictures_are_scaled_and_padded(garments: Path) -> None:
    tall = np.full((100, 50), 200, np.uint8)
    tall[20:80, 10:40] = 90
    save(garments / "bag" / "00.png", tall)
    with pytest.raises(
        DataError, match=r"28×28 pixels, but .*00.png is 50×100; write a copy of one"
    ) as refused:
        load_dataset(garments)
    assert f"fittingroom data {garments} --size 28 --convert COPY" in str(refused.value)
    data = load_dataset(garments, size=(28, 28))
    images = np.concatenate([data.train.images, data.test.images])
    (scaled,) = (image for image in images if (image[:, :5] == 200).all())
    assert (scaled[:, 23:] == 200).all()  # the border's grey, not black
    assert (scaled[10:18, 12:16] == 90).all()


def test_a_new_picture_is_made_like_those_of_the_data(garments: Path) -> None:
    """Else a model would see another kind of image than those that it was fitted on."""
    wide = np.random.default_rng(0).integers(0, 255, (40, 90)).astype(np.uint8)
    save(garments / "bag" / "00.png", wide)
    data = load_dataset(garments, size=(28, 32))
    images = np.concatenate([data.train.images, data.test.images])
    made = prepare(decode(garments / "bag" / "00.png"), data.preparation, data.image_shape)
    assert any((image == made.views[0]).all() for image in images)


def test_the_size_belongs_to_the_hash(garments: Path) -> None:
    sizes = {load_dataset(garments, size=(n, n)).sha256 for n in (14, 28, 56)}
    assert len(sizes) == 3
    assert load_dataset(garments).sha256 in sizes


def test_a_copy_has_to_be_made_of_what_was_changed(garments: Path) -> None:
    """Its path would give other images."""
    assert load_dataset(garments, size=(14, 14)).location is None
    assert load_dataset(garments).location == garments.resolve()


def test_a_picture_of_one_line(garments: Path) -> None:
    save(garments / "bag" / "00.png", np.arange(3000, dtype=np.uint8)[None])
    data = load_dataset(garments, size=(28, 28))
    assert len(data.train) + len(data.test) == 24


def test_all_damaged_pictures_are_named_at_once(
    garments: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for i in (3, 7):
        (garments / "boot" / f"{i:02}.png").write_bytes(b"no picture")
    with pytest.raises(
        DataError, match=r"2 pictures that can't be read: .*03.png.*07.png"
    ) as refused:
        load_dataset(garments)
    assert "--skip-damaged --convert COPY" in str(refused.value)
    with caplog.at_level(logging.WARNING):
        data = load_dataset(garments, skip_damaged=True)
    assert len(data.train) + len(data.test) == 22
    assert "damaged pictures are left out (2): " in caplog.text
    assert "03.png isn't a PNG" in caplog.text
    assert data.location is None


def test_ten_damaged_pictures_are_enough(garments: Path) -> None:
    for path in (garments / "boot").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="holds 10 pictures that can't be read") as refused:
        load_dataset(garments)
    assert str(refused.value).count("/boot/") == 10
    with pytest.raises(DataError, match=r"no picture of the class of .*boot/00.png can be read"):
        load_dataset(garments, skip_damaged=True)


def test_nothing_but_damage(garments: Path) -> None:
    for path in garments.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="holds no picture that can be read"):
        load_dataset(garments, skip_damaged=True)


def test_colours_are_noted(garments: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load_dataset(garments)
        assert "colours" not in caplog.text
        path = garments / "bag" / "00.png"
        with Image.open(path) as image:
            grey = image.convert("RGB")
        grey.save(path)
        load_dataset(garments)
        assert "colours" not in caplog.text  # three channels that are the same are no colours
        Image.new("RGB", (28, 28), "red").save(path)
        load_dataset(garments)
    assert "colours are converted to grey" in caplog.text


@pytest.mark.parametrize("what", ["fashion-mnist", "npz"])
def test_data_that_are_no_pictures(what: str, tmp_path: Path) -> None:
    if what == "npz":
        what = str(tmp_path / "a.npz")
        np.savez(what, x=np.zeros((3, 8, 8)), y=[0, 1, 0])
    with pytest.raises(DataError, match="picture files"):
        load_dataset(what, size=(28, 28))
