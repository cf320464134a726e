"""Turn a picture of a digit into an image like MNIST's.

As its makers did (LeCun, Bottou, Bengio and Haffner 1998, section III.A): ink is bright on black,
fitted into a box of 20×20 pixels with its aspect ratio kept, and placed with its centre of mass in
the middle of 28×28 pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.filters import threshold_otsu

from fittingroom.data.decode import Picture
from fittingroom.data.rendering import Rendering

#: Longest edge in pixels at which ink is looked for.
LONGEST = 224
#: Side of the ink's box, as a share of the image's.
BOX = 20 / 28
#: Widest stroke, as a share of the shorter side; what is wider is ground, such as a shadow.
WIDEST_STROKE = 0.25
#: Smallest piece of ink that isn't a speck, as a share of the largest.
SPECK = 0.04
#: Least difference in grey levels between ink and its ground.
CONTRAST = 24


def render_digit(picture: Picture, shape: tuple[int, int]) -> Rendering:
    """Render a picture's digit as an image (height, width) like MNIST's.

    A picture that has the images' size already is used as it is, negated if its ground is light.
    """
    picture = picture.shrunk(LONGEST)
    light = picture.ground > 127
    if picture.grey.shape == shape and picture.opaque is None:
        image = 255 - picture.grey if light else picture.grey
        how = "an image of the data's size, " + ("negated" if light else "used as it is")
        return _rendering(image, np.ones(shape, bool), (how,), is_photo=False)
    ink = _ink(picture, light)
    if not ink.any():
        how = "nothing stands out from the background"
        return _rendering(np.zeros(shape, np.uint8), ink > 0, (how,))
    image = _centre(_fit_into_box(ink, shape), shape)
    return _rendering(
        image,
        ink > 0,
        (
            f"ink found on a {'light' if light else 'dark'} background",
            f"fitted into {round(BOX * shape[0])} pixels and centred by its mass, like MNIST's",
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
    """How much ink each pixel has, 0 … 255, without specks."""
    grey, opaque = picture.grey.astype(np.float64), picture.opaque
    if opaque is not None and opaque.any() and np.ptp(grey[opaque]) < CONTRAST:
        return np.where(opaque, 255.0, 0.0)  # strokes of one colour on a transparent ground
    # Contrast with the ground nearby, so that uneven light does no harm.
    size = max(3, round(WIDEST_STROKE * min(grey.shape)))
    if light:
        # Ink absorbs a share of the light that falls on the paper.
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


def _fit_into_box(ink: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Trim the ink's margins and scale it to fit into the box."""
    (box,) = ndimage.find_objects((ink != 0).astype(np.int8))
    trimmed = ink[box]
    factor = BOX * min(shape[0] / trimmed.shape[0], shape[1] / trimmed.shape[1])
    height, width = (max(1, round(side * factor)) for side in trimmed.shape)
    image = Image.fromarray(trimmed.astype(np.float32))
    small = np.array(image.resize((width, height), Image.Resampling.BILINEAR), np.float64)
    small *= 255 / small.max()  # thin strokes become as bright as others
    return small


def _centre(small: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Place ink on black, its centre of mass in the middle or as near as its edges allow."""
    image = np.zeros(shape, np.uint8)
    corner = []
    for centre, side, full in zip(ndimage.center_of_mass(small), small.shape, shape, strict=True):
        corner.append(min(max(round(full / 2 - 0.5 - centre), 0), full - side))
    top, left = corner
    height, width = small.shape
    image[top : top + height, left : left + width] = small.round().clip(0, 255)
    return image
