"""Turn a photo into an image like Fashion-MNIST's.

Once the garment is found, the steps are those of its makers (Xiao, Rasul and Vollgraf 2017, section
2): trim, shrink the longest edge to 28 pixels, centre, negate, convert to grey. They also
sharpened, which did harm on photos.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from fittingroom.data.cutout import Cutout, cut_outs
from fittingroom.data.decode import Picture
from fittingroom.data.rendering import Rendering

#: Least value of an object's pixel, so that a white garment isn't lost on black.
LEAST = 2
#: Longest edge in pixels at which the object is looked for.
LONGEST = 224
#: A picture of at most this many pixels per side may be an image of the data set itself.
SMALL = 64
#: Least border grey of a photo that has the images' size; no training image of 60,000 reaches it.
LIGHT = 192
#: Relative widths and rotations in degrees of the views: a garment that lies flat is spread out
#: wider than those of the data.
WIDTHS, TURNS = (1.0, 0.85, 0.72), (0, -7, 7)
#: A guess whose score is higher by this counts e times as much; and the least weight of a guess.
BETTER, COUNTS = 0.2, 0.02
_HOW = {
    "connection": "background found by its connection to the border",
    "colour": "background found by its colour at the border",
    "place": "object assumed to lie within the rim",
    "middle": "object assumed to lie in the middle",
    "nothing": "no object found, the whole picture used",
    "transparency": "object is the opaque part of the file",
}


def render_garment(picture: Picture, shape: tuple[int, int] = (28, 28)) -> Rendering:
    """Render a picture's main object as images (height, width) like Fashion-MNIST's.

    A grey picture of the images' size, or another small one on black, counts as an image of the
    data already and is used as it is.
    """
    picture = picture.shrunk(LONGEST)
    grey = picture.grey.astype(np.float64)
    if _is_data_image(picture, shape):
        mask = np.ones(grey.shape, bool)
        image = picture.grey if grey.shape == shape else _fit(grey, shape)
        how = "small and grey, not on a light background: treated as an image of the data"
        return Rendering(image[None], np.ones(1), mask, (how,), is_photo=False)
    cutouts, weights = _objects(picture)
    views = [view for cutout in cutouts for view in _views(cutout.mask, grey, shape)]
    view_weights = np.repeat(weights, len(views) // len(cutouts))
    best, others_weight = cutouts[0], 1 - weights[0]
    decisions = [_HOW[best.by], f"object fills {best.mask.mean():.0%}"]
    if others_weight >= 0.01:
        decisions.append(f"other outlines count {others_weight:.0%}")
    return Rendering(
        np.stack(views), view_weights / view_weights.sum(), best.mask, tuple(decisions)
    )


def _objects(picture: Picture) -> tuple[list[Cutout], NDArray[np.float64]]:
    """Guesses of the object, the best first, and their weights."""
    opaque = picture.opaque
    if opaque is not None and opaque.mean() > 0.01:
        return [Cutout(opaque, "transparency", 0.0)], np.ones(1)
    cutouts = cut_outs(picture.pixels)
    scores = np.array([cutout.score for cutout in cutouts])
    weights = np.exp((scores - scores[0]) / BETTER)
    weights = weights[weights / weights.sum() > COUNTS]  # in descending order
    return cutouts[: len(weights)], weights / weights.sum()


def _views(
    mask: NDArray[np.bool_], grey: NDArray[np.float64], shape: tuple[int, int]
) -> list[NDArray[np.uint8]]:
    negative = np.where(mask, np.maximum(255 - grey, LEAST), 0)
    return [_fit(_rotate(negative, turn), shape, width) for turn in TURNS for width in WIDTHS]


def _is_data_image(picture: Picture, shape: tuple[int, int]) -> bool:
    grey = picture.grey
    if max(grey.shape) > SMALL or np.ptp(picture.pixels.astype(int), axis=2).max() > 8:
        return False
    return bool(picture.ground < (LIGHT if grey.shape == shape else 16) and grey.max() > 64)


def _rotate(values: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    if degrees == 0:
        return values
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.rotate(degrees, Image.Resampling.BILINEAR, expand=True), np.float64)


def _fit(
    values: NDArray[np.float64], shape: tuple[int, int], stretch: float = 1.0
) -> NDArray[np.uint8]:
    """Trim what is black, stretch the width, fit the rest into the image and centre it."""
    visible = values > 0
    if not visible.any():
        return np.zeros(shape, np.uint8)
    (box,) = ndimage.find_objects(visible.astype(np.int8))
    trimmed = values[box]
    sides = trimmed.shape[0], trimmed.shape[1] * stretch
    factor = min(shape[0] / sides[0], shape[1] / sides[1])
    height, width = (max(1, round(side * factor)) for side in sides)
    method = Image.Resampling.BOX if factor < 0.5 else Image.Resampling.BILINEAR
    small = Image.fromarray(trimmed.astype(np.float32)).resize((width, height), method)
    image = np.zeros(shape, np.uint8)
    # An odd black row or column comes first, as in the data.
    top, left = (shape[0] - height + 1) // 2, (shape[1] - width + 1) // 2
    image[top : top + height, left : left + width] = np.asarray(small).round().clip(0, 255)
    return image
