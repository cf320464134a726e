"""preparation.py: a picture becomes an image made like those of the data."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from fittingroom.data.dataset import Dataset
from fittingroom.data.decode import decode
from fittingroom.data.preparation import PREPARATIONS, prepare
from fittingroom.data.rendering import Preparation
from fittingroom.errors import DataError, UnknownNameError


def test_every_preparation_has_a_function() -> None:
    assert set(PREPARATIONS) == set(get_args(Preparation))


@pytest.mark.parametrize("preparation", PREPARATIONS)
@pytest.mark.parametrize("size", [(28, 28), (640, 480), (1, 1), (3, 900)])
def test_any_picture_becomes_images(
    preparation: Preparation, size: tuple[int, int], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    rendering = prepare(tmp_path / "picture.png", preparation, (28, 20))
    assert rendering.views.dtype == np.uint8
    assert rendering.views.shape == (len(rendering.weights), 28, 20)
    assert rendering.weights.sum() == pytest.approx(1)
    assert rendering.decisions


def test_a_picture_of_another_size_is_resized_and_the_decision_recorded(tmp_path: Path) -> None:
    image = Image.linear_gradient("L").resize((100, 50))
    image.save(tmp_path / "picture.png")
    rendering = prepare(tmp_path / "picture.png", "image", (28, 28))
    expected = image.resize((28, 14), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(rendering.views[0][7:21], np.asarray(expected))
    assert len({*rendering.views[0][:7].flat, *rendering.views[0][21:].flat}) == 1
    assert rendering.decisions == (
        "taken as an image of the data, resized from 100×50 to 28×28 pixels",
    )


def test_large_images_of_the_data_are_not_shrunk(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 700), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    rendering = prepare(tmp_path / "picture.png", "image", (900, 700))
    np.testing.assert_array_equal(rendering.views[0], pixels)
    assert max(decode(tmp_path / "picture.png").pixels.shape) == 640


def test_an_unknown_preparation_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown preparation 'digits'; did you mean digit"):
        prepare(b"", "digits", (28, 28))  # type: ignore[arg-type]
    images = np.arange(256, dtype=np.uint8).reshape(2, 8, 16)
    with pytest.raises(UnknownNameError, match="unknown preparation"):
        Dataset.from_arrays(images, [0, 1], images, [0, 1], preparation="photo")  # type: ignore[arg-type]


def test_a_file_that_is_not_a_picture_is_refused() -> None:
    with pytest.raises(DataError, match="isn't a PNG, JPEG or WebP"):
        prepare(b"nothing", "image", (28, 28))
