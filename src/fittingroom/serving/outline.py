"""The outline of an object in a picture, as lines for a page to draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours

#: How far, in pixels of the mask, the lines may stray from its edge.
_TOLERANCE = 0.4
#: Decimals of a coordinate: a tenth of a pixel of a mask of 1,000.
_DECIMALS = 4


def outline_of(mask: NDArray[np.bool_]) -> list[list[list[float]]]:
    """Closed lines around what is True in a mask (height, width), and around its holes.

    Points are [x, y], as shares of the width and the height. The outline of the whole picture is
    empty: there is no object in it.
    """
    if mask.all():
        return []
    size = np.array(mask.shape)
    lines = []
    for contour in find_contours(np.pad(mask, 1).astype(np.uint8), 0.5):
        points = (approximate_polygon(contour, _TOLERANCE) - 0.5) / size  # pad, and pixels' middles
        lines.append(points[:, ::-1].clip(0, 1).round(_DECIMALS).tolist())
    return lines
