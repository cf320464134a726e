"""The images that show a picture to a model, and how they are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import UnknownNameError

#: How the images of a data set were made from pictures, and how new pictures are prepared; see
#: `preparation.prepare`.
Preparation = Literal["image", "image-on-black", "garment", "digit"]


def check_preparation(name: str) -> None:
    """Raise UnknownNameError unless `name` is a `Preparation`."""
    if name not in get_args(Preparation):
        raise UnknownNameError("preparation", str(name), get_args(Preparation))


@dataclass(frozen=True, eq=False)
class Rendering:
    """Images like the data's that show a picture.

    Attributes
    ----------
    views : uint8 (views, height, width); the first shows the object as it lies
    weights : float64 (views,) of each view, summing to one
    mask : bool, the best guess of where the object is, at the size at which it was searched for
    decisions : how they were made, in words
    is_photo : whether the picture wasn't an image of the data already
    """

    views: NDArray[np.uint8]
    weights: NDArray[np.float64]
    mask: NDArray[np.bool_]
    decisions: tuple[str, ...]
    is_photo: bool = True


def on_black(on_white: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Move a grey picture from white to black; both arguments (height, width)."""
    return np.maximum(on_white, 255 - alpha) - (255 - alpha)
