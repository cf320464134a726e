"""Images of a data set as PNG data URIs for a page."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image


def picture(image: NDArray[np.uint8], label: str, *, size: int | None = None) -> Markup:
    """An `<img>` element of a grey image (height, width), with `label` as its alt text.

    `size` is its width on the page in pixels; the default is the style sheet's.
    """
    width = "" if size is None else f' width="{size}"'
    return Markup('<img class="pixels" src="{}" alt="{}"{}>').format(
        data_uri(image), label, Markup(width)
    )


def data_uri(image: NDArray[np.uint8]) -> str:
    """A grey image (height, width) as a PNG in a `data:` URI."""
    with BytesIO() as file:
        Image.fromarray(image).save(file, "PNG")
        return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def rescale(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Values scaled to 0..255: the smallest is black, the largest white."""
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.round(255 * scaled).astype(np.uint8)
