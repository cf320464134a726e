"""A picture of a digit as MNIST's makers would have made it.

Their steps (LeCun, Bottou, Bengio and Haffner 1998, section III.A): ink is bright on black, shrunk
with its proportions into a box of 20×20 pixels, and placed so that its centre of mass is the middle
of 28×28 pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

from fittingroom.data.decode import Picture
from fittingroom.data.rendering import Rendering

#: Pixels of the longest edge at which the ink is looked for.
LONGEST = 224
#: Of an image's side, the box of the ink.
BOX = 20 / 28
#: Of the shorter side, the widest stroke: what is wider belongs to the ground, a shadow say.
WIDEST_STROKE = 0.25
#: Of the largest piece of ink, the smallest that isn't a speck.
SPECK = 0.04
#: Grey levels by which ink differs from its ground at least.
CONTRAST = 24


def render_digit(picture: Picture, shape: tuple[int, int]) -> Rendering:
    """An image (height, width) like MNIST's that shows a picture's digit.

    A grey picture of the images' own size is shown as it is, or negated if its ground is light.
    """
    picture = picture.shrunk(LONGEST)
    light = picture.ground > 127
    if picture.grey.shape == shape and picture.opaque is None:
        image = 255 - picture.grey if light else picture.grey
        how = "an image of the data's size, " + ("negated" if light else "taken as it is")
        return _rendering(image, np.ones(shape, bool), (how,), is_photo=False)
    ink = _ink(picture, light)
    if not ink.any():
        how = "nothing stands out from its ground"
        return _rendering(np.zeros(shape, np.uint8), ink > 0, (how,))
    image = _centred(_boxed(ink, shape), shape)
    return _rendering(
        image,
        ink > 0,
        (
            f"ink found on a {'light' if light else 'dark'} ground",
            f"fitted into {round(BOX * shape[0])} pixels and centred by its mass, as MNIST's were",
        ),
    )


def _rendering(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    decisions: tuple[str, ...],
    *,
    is_photo: bool = True,
) -> Rendering:
    return Rendering(image[None], np.ones(1), mask, decisions, is_photo)


def _ink(picture: Picture, light: bool) -> NDArray[np.float64]:
    """How much each pixel is ink, 0 … 255, without specks."""
    grey, opaque = picture.grey.astype(np.float64), picture.opaque
    if opaque is not None and opaque.any() and np.ptp(grey[opaque]) < CONTRAST:
        return np.where(opaque, 255.0, 0.0)  # strokes of one colour on a transparent ground
    # What stands out from the ground around it, so that light may fall unevenly.
    size = max(3, round(WIDEST_STROKE * min(grey.shape)))
    if light:
        # Ink takes a share of whatever light its paper gets.
        contrast: NDArray[np.float64] = 255 - 255 * grey / ndimage.grey_closing(grey, size).clip(1)
    else:
        contrast = grey - ndimage.grey_opening(grey, size)
    if contrast.max() < CONTRAST:
        return np.zeros_like(grey)
    threshold = max(threshold_otsu(contrast), CONTRAST / 2)
    full = np.quantile(contrast[contrast > threshold], 0.5)
    ink = np.clip((contrast - threshold / 2) / max(full - threshold / 2, 1), 0, 1)
    pieces, count = ndimage.label(ink > 0, np.ones((3, 3)))
    weights = ndimage.sum_labels(ink, pieces, np.arange(count + 1))
    weights[0] = 0
    kept = weights >= SPECK * weights.max()
    kept[0] = False
    cleaned: NDArray[np.float64] = np.where(kept[pieces], 255 * ink, 0.0)
    return cleaned


def _boxed(ink: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """The ink without its margins, as large as fits into the box."""
    (box,) = ndimage.find_objects((ink != 0).astype(np.int8))
    trimmed = ink[box]
    factor = BOX * min(shape[0] / trimmed.shape[0], shape[1] / trimmed.shape[1])
    tall, wide = (max(1, round(side * factor)) for side in trimmed.shape)
    image = Image.fromarray(trimmed.astype(np.float32))
    small = np.array(image.resize((wide, tall), Image.Resampling.BILINEAR), np.float64)
    small *= 255 / small.max()  # thin strokes are as bright as others
    return small


def _centred(small: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """On black, its centre of mass in the middle, or as near as its edges allow."""
    image = np.zeros(shape, np.uint8)
    first = []
    for centre, side, whole in zip(ndimage.center_of_mass(small), small.shape, shape, strict=True):
        first.append(min(max(round(whole / 2 - 0.5 - centre), 0), whole - side))
    top, left = first
    tall, wide = small.shape
    image[top : top + tall, left : left + wide] = small.round().clip(0, 255)
    return image
