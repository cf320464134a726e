from __future__ import annotations

import base64
import re
from io import BytesIO

import numpy as np
from PIL import Image

from fittingroom.data.dataset import Dataset
from fittingroom.reporting.sprite import COLUMNS, Sprite


def test_a_tile_shows_its_image(small: Dataset) -> None:
    """The picture, cut where the tile's style says, is the image."""
    sprite = Sprite(small.test.images)
    sprite.add(np.arange(100, 170))
    tiles = {position: sprite.tile(position) for position in (169, 5, 100, 5)}
    assert len(sprite.positions) == 71, "an image is held once"
    encoded = re.search(r"base64,([^)]*)\)", sprite.style())
    assert encoded is not None
    picture = np.asarray(Image.open(BytesIO(base64.b64decode(encoded[1]))))
    assert picture.shape == (2 * 28, COLUMNS * 28)
    for position, tile in tiles.items():
        column, row = map(int, re.findall(r"--[xy]:(\d+)", tile))
        cut = picture[28 * row : 28 * (row + 1), 28 * column : 28 * (column + 1)]
        np.testing.assert_array_equal(cut, small.test.images[position])


def test_images_may_be_higher_than_wide() -> None:
    images = np.arange(3 * 4 * 2, dtype=np.uint8).reshape(3, 4, 2)
    sprite = Sprite(images)
    assert sprite.style() == ""
    assert sprite.shape == (4, 2)
    assert "--x:0;--y:0" in sprite.tile(2)
    assert "--ratio: 2.0000" in sprite.style()


def test_tiles_of_two_pictures_are_told_apart() -> None:
    sprite = Sprite(np.zeros((1, 4, 4), np.uint8), "test")
    assert 'class="tile test"' in sprite.tile(0)
    assert sprite.style().startswith(".tile.test {")
