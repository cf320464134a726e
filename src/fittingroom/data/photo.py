"""A photo as the data set's makers would have made it.

Their steps (Xiao, Rasul and Vollgraf 2017, section 2) after the garment was found: trim, shrink the
longest edge to 28 pixels, centre, negate, grey. They also sharpened; on photos that did harm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from fittingroom.data.cutout import Cutout, cut_outs
from fittingroom.data.decode import Picture
from fittingroom.data.rendering import Rendering

#: What a pixel of the object is at least, so that a white garment isn't lost on a black ground.
LEAST = 2
#: Pixels of the longest edge at which the object is looked for.
LONGEST = 224
#: A picture of at most this many pixels a side may be one of the data set itself.
SMALL = 64
#: The ground of a photo that has the images' own size; none of the 60,000 training images has one.
LIGHT = 192
#: The object is seen as wide as it lies and narrower, since it lies spread out as the data's don't,
#: and turned by so many degrees.
WIDTHS, TURNS = (1.0, 0.85, 0.72), (0, -7, 7)
#: A guess whose score is so much better counts e times as much; one that counts less is left out.
BETTER, COUNTS = 0.2, 0.02
_HOW = {
    "connection": "background found by what is connected to the border",
    "colour": "background found by its colour at the border",
    "place": "object taken to lie within the rim",
    "middle": "object taken to lie in the middle",
    "nothing": "no object found, the whole picture taken",
    "transparency": "object is what the file says is opaque",
}


def render_garment(picture: Picture, shape: tuple[int, int] = (28, 28)) -> Rendering:
    """Images (height, width) like Fashion-MNIST's that show a picture's main object.

    A grey picture of the images' own size, or another small one on black, is taken for an image of
    the data already, and shown as it is.
    """
    picture = picture.shrunk(LONGEST)
    grey = picture.grey.astype(np.float64)
    if _is_of_the_data(picture, shape):
        whole = np.ones(grey.shape, bool)
        image = picture.grey if grey.shape == shape else _fitted(grey, shape)
        how = "small and grey, not on a light ground: taken for an image of the data"
        return Rendering(image[None], np.ones(1), whole, (how,), is_photo=False)
    cutouts, weights = _objects(picture)
    views = [view for cutout in cutouts for view in _views(cutout.mask, grey, shape)]
    each = np.repeat(weights, len(views) // len(cutouts))
    best, others = cutouts[0], 1 - weights[0]
    decisions = [_HOW[best.by], f"object fills {best.mask.mean():.0%}"]
    if others >= 0.01:
        decisions.append(f"other outlines count {others:.0%}")
    return Rendering(np.stack(views), each / each.sum(), best.mask, tuple(decisions))


def _objects(picture: Picture) -> tuple[list[Cutout], NDArray[np.float64]]:
    """What may be the object, the best guess first, and how much each counts."""
    opaque = picture.opaque
    if opaque is not None and opaque.mean() > 0.01:
        return [Cutout(opaque, "transparency", 0.0)], np.ones(1)
    cutouts = cut_outs(picture.pixels)
    scores = np.array([cutout.score for cutout in cutouts])
    weights = np.exp((scores - scores[0]) / BETTER)
    weights = weights[weights / weights.sum() > COUNTS]  # they fall
    return cutouts[: len(weights)], weights / weights.sum()


def _views(
    mask: NDArray[np.bool_], grey: NDArray[np.float64], shape: tuple[int, int]
) -> list[NDArray[np.uint8]]:
    negative = np.where(mask, np.maximum(255 - grey, LEAST), 0)
    return [_fitted(_turned(negative, turn), shape, width) for turn in TURNS for width in WIDTHS]


def _is_of_the_data(picture: Picture, shape: tuple[int, int]) -> bool:
    grey = picture.grey
    if max(grey.shape) > SMALL or np.ptp(picture.pixels.astype(int), axis=2).max() > 8:
        return False
    return bool(picture.ground < (LIGHT if grey.shape == shape else 16) and grey.max() > 64)


def _turned(values: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    if degrees == 0:
        return values
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.rotate(degrees, Image.Resampling.BILINEAR, expand=True), np.float64)


def _fitted(
    values: NDArray[np.float64], shape: tuple[int, int], width: float = 1.0
) -> NDArray[np.uint8]:
    """What isn't black, made narrower, its longest edge as long as the image's, and centred."""
    there = values > 0
    if not there.any():
        return np.zeros(shape, np.uint8)
    (box,) = ndimage.find_objects(there.astype(np.int8))
    trimmed = values[box]
    sides = trimmed.shape[0], trimmed.shape[1] * width
    factor = min(shape[0] / sides[0], shape[1] / sides[1])
    tall, wide = (max(1, round(side * factor)) for side in sides)
    method = Image.Resampling.BOX if factor < 0.5 else Image.Resampling.BILINEAR
    small = Image.fromarray(trimmed.astype(np.float32)).resize((wide, tall), method)
    image = np.zeros(shape, np.uint8)
    # An odd black row or column is the data's first one.
    top, left = (shape[0] - tall + 1) // 2, (shape[1] - wide + 1) // 2
    image[top : top + tall, left : left + wide] = np.asarray(small).round().clip(0, 255)
    return image
