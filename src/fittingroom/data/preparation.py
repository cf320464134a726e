"""Turn a picture into images like those that a model was fitted on.

`image` uses the whole picture: in grey, on white if it is transparent, scaled and padded if it has
another size; `image-on-black` lays it on black. `garment` cuts out the object as Fashion-MNIST's
makers did, `digit` finds ink as MNIST's did.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.decode import LONGEST, Picture, decode, fit_into
from fittingroom.data.digit import render_digit
from fittingroom.data.photo import render_garment
from fittingroom.data.rendering import Preparation, Rendering, check_preparation, on_black


def prepare(
    picture: Picture | Path | str | bytes, preparation: Preparation, shape: tuple[int, int]
) -> Rendering:
    """Render a picture as images (height, width) for a model.

    Parameters
    ----------
    picture : decoded, or a PNG, JPEG or WebP file: its path, or its bytes
    preparation : how the model's training images were made
    shape : of the images

    Raises
    ------
    DataError : the file isn't such a picture, is too large, or damaged
    UnknownNameError : there is no such preparation
    """
    check_preparation(preparation)
    if not isinstance(picture, Picture):
        picture = decode(picture, longest=max(LONGEST, *shape))
    return PREPARATIONS[preparation](picture, shape)


def render_image(picture: Picture, shape: tuple[int, int]) -> Rendering:
    """Render the whole picture in grey, scaled and padded if it has another size."""
    return _render_whole(picture.grey, shape)


def render_on_black(picture: Picture, shape: tuple[int, int]) -> Rendering:
    """The same, laid on black if it is transparent."""
    alpha = picture.alpha
    return _render_whole(picture.grey if alpha is None else on_black(picture.grey, alpha), shape)


def _render_whole(grey: NDArray[np.uint8], shape: tuple[int, int]) -> Rendering:
    mask = np.ones(grey.shape, bool)
    how = "taken as an image of the data"
    if grey.shape != shape:
        width, height = grey.shape[::-1]
        how += f", resized from {width}×{height} to {shape[1]}×{shape[0]} pixels"
        grey = fit_into(grey, shape)
    return Rendering(grey[None], np.ones(1), mask, (how,), is_photo=False)


PREPARATIONS: dict[Preparation, Callable[[Picture, tuple[int, int]], Rendering]] = {
    "image": render_image,
    "image-on-black": render_on_black,
    "garment": render_garment,
    "digit": render_digit,
}
