"""What a model is shown of a picture, and how that is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import UnknownNameError

#: How the images of a data set were made of pictures, and how others become like them; see
#: `preparation.prepare`.
Preparation = Literal["image", "image-on-black", "garment", "digit"]


def check_preparation(name: str) -> None:
    """Raise UnknownNameError for what isn't a `Preparation`."""
    if name not in get_args(Preparation):
        raise UnknownNameError("preparation", str(name), get_args(Preparation))


@dataclass(frozen=True, eq=False)
class Rendering:
    """Images of the data's kind that show a picture.

    Attributes
    ----------
    views : uint8 (views, height, width); the first is as the picture's object lies
    weights : float64 (views,), how much each counts; their sum is one
    mask : bool, of the picture as it was looked at: where its object is, by the best guess
    decisions : how they were made, in words
    is_photo : not an image of the data already
    """

    views: NDArray[np.uint8]
    weights: NDArray[np.float64]
    mask: NDArray[np.bool_]
    decisions: tuple[str, ...]
    is_photo: bool = True


def on_black(on_white: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey picture that lies on white, laid on black; both (height, width)."""
    return np.maximum(on_white, 255 - alpha) - (255 - alpha)
