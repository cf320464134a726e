"""Places for the names of points in a plot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Anchor = Literal["start", "end"]


class Box(NamedTuple):
    """A rectangle in pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float


class Offset(NamedTuple):
    """A label's offset from its point in pixels, and which of its ends is there."""

    anchor: Anchor
    dx: float
    dy: float


#: Candidates, best first.
_OFFSETS: tuple[Offset, ...] = tuple(
    place
    for dx, dy in [(8, 0), (7, 9), (7, -9), (7, 18), (7, -18), (7, 27), (7, -27)]
    for place in (Offset("start", dx, dy), Offset("end", -dx, dy))
)


def place_labels(
    points: NDArray[np.float64], widths: Sequence[float], height: float, inside: Box
) -> list[Offset]:
    """Where each label covers least of points, lines and the labels before it.

    Parameters
    ----------
    points : (n, 4) in pixels: x, y, and the ends of the vertical line through each point
    widths, height : of the labels, in pixels
    inside : labels stay in this box if they can
    """
    x, y, first, last = points.T
    occupied = np.concatenate(
        [
            np.column_stack([x - 5, y - 5, x + 5, y + 5]),
            np.column_stack([x - 2, np.minimum(first, last), x + 2, np.maximum(first, last)]),
        ]
    )
    places = []
    for px, py, width in zip(x, y, widths, strict=True):
        boxes = np.array([_box(place, px, py, width, height) for place in _OFFSETS])
        outside = width * height - _covered_area(boxes, np.array([inside]))
        # Rounded, so that ties go to the first place, which is the nearest.
        best = int(np.argmin(np.round(_covered_area(boxes, occupied) + 9 * outside, 6)))
        occupied = np.vstack([occupied, boxes[best]])
        places.append(_OFFSETS[best])
    return places


def _box(place: Offset, x: float, y: float, width: float, height: float) -> Box:
    left = x + place.dx - (width if place.anchor == "end" else 0)
    top = y + place.dy - height / 2
    return Box(left, top, left + width, top + height)


def _covered_area(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area of each box (n, 4) that the others (m, 4) cover, summed over these: (n,)."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    return np.asarray((high - low).clip(min=0).prod(axis=2).sum(axis=1))
