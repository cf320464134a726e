"""A photo as the data set's makers would have made it.

Their steps (Xiao, Rasul and Vollgraf 2017, section 2) after the garment was found: trim, shrink the
longest edge to 28 pixels, sharpen, centre, negate, grey.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fittingroom.data.cutout import Cutout, cut_out
from fittingroom.data.decode import Picture

#: Red, green and blue in grey (ITU-R BT.601, as Pillow and ImageMagick have it).
GREY = (0.299, 0.587, 0.114)
#: What a pixel of the object is at least, so that a white garment isn't lost on a black ground.
LEAST = 2
#: A picture of at most this many pixels a side may be one of the data set itself.
SMALL = 64
_HOW = {
    "connection": "background found by what is connected to the border",
    "colour": "background found by its colour at the border",
    "place": "object taken to lie within the rim",
    "middle": "object taken to lie in the middle",
    "nothing": "no object found, the whole picture taken",
    "transparency": "object is what the file says is opaque",
}


@dataclass(frozen=True, eq=False)
class Rendering:
    """What a model is shown of a photo.

    Attributes
    ----------
    image : uint8 (height, width), object bright on black
    mask : (height, width) of the photo: where the object is
    decisions : how it was made, in words
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    decisions: tuple[str, ...]


def render(picture: Picture, shape: tuple[int, int] = (28, 28)) -> Rendering:
    """The image (height, width) of the data set's kind that shows a picture's main object."""
    grey = picture.pixels @ np.array(GREY)
    if _is_one_of_the_data(picture, grey):
        whole = np.ones(grey.shape, bool)
        image = _fitted(grey, whole, shape)
        return Rendering(image, whole, ("small, grey and on black: an image of the data already",))
    cutout = _object(picture)
    negative = np.where(cutout.mask, np.maximum(255 - grey, LEAST), 0)
    share = cutout.mask.mean()
    decisions = (_HOW[cutout.by], f"object fills {share:.0%}")
    return Rendering(_fitted(negative, cutout.mask, shape), cutout.mask, decisions)


def _object(picture: Picture) -> Cutout:
    opaque = picture.opaque
    if opaque is not None and opaque.mean() > 0.01:
        return Cutout(opaque, "transparency", 0.0)
    return cut_out(picture.pixels)


def _is_one_of_the_data(picture: Picture, grey: NDArray[np.float64]) -> bool:
    if max(grey.shape) > SMALL or np.ptp(picture.pixels, axis=2).max() > 8:
        return False
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return bool(np.median(border) < 16 and grey.max() > 64)


def _fitted(
    values: NDArray[np.float64], mask: NDArray[np.bool_], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """The object alone, its longest edge as long as the image's, sharpened and centred."""
    down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    trimmed = values[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
    factor = min(shape[0] / trimmed.shape[0], shape[1] / trimmed.shape[1])
    height, width = (max(1, round(side * factor)) for side in trimmed.shape)
    method = Image.Resampling.BOX if factor < 0.5 else Image.Resampling.BILINEAR
    small = Image.fromarray(trimmed.astype(np.uint8)).resize((width, height), method)
    small = small.filter(ImageFilter.UnsharpMask(radius=1, percent=50, threshold=0))
    image = np.zeros(shape, np.uint8)
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    image[top : top + height, left : left + width] = np.asarray(small)
    return image
