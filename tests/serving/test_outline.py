"""outline.py: masks as lines."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from fittingroom.serving.outline import outline_of


def filled(lines: list[list[list[float]]], shape: tuple[int, int]) -> np.ndarray:
    """The mask whose outline the lines are; what is within two of them is a hole."""
    height, width = shape
    mask = np.zeros(shape, bool)
    for line in lines:
        # Pixels whose middle is inside: a fine picture of the line, of which each middle is read.
        image = Image.new("1", (9 * width, 9 * height))
        points = [(9 * width * x - 0.5, 9 * height * y - 0.5) for x, y in line]
        ImageDraw.Draw(image).polygon(points, fill=1)
        mask ^= np.asarray(image)[4::9, 4::9]
    return mask


def test_lines_enclose_the_mask() -> None:
    """One with a hole, a part at the border, and other sides."""
    mask = np.zeros((40, 60), bool)
    mask[5:30, 10:40] = True
    mask[12:20, 20:30] = False
    mask[33:, 50:] = True
    lines = outline_of(mask)
    assert len(lines) == 3
    assert all(line[0] == line[-1] for line in lines)
    assert all(0 <= number <= 1 for line in lines for point in line for number in point)
    assert (filled(lines, mask.shape) != mask).mean() < 0.01
    assert sum(map(len, lines)) < 40  # straight edges need few points


def test_the_whole_picture_has_no_outline() -> None:
    assert outline_of(np.ones((5, 5), bool)) == []
    assert outline_of(np.zeros((5, 5), bool)) == []
