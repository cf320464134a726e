from __future__ import annotations

from itertools import combinations

import numpy as np

from fittingroom.reporting.label_offsets import Box, _box, place_labels


def test_labels_of_close_points_do_not_overlap() -> None:
    points = np.array([[100, 50, 45, 55], [104, 52, 48, 56], [100, 58, 50, 66], [280, 50, 50, 50]])
    widths, inside = [60.0, 40.0, 50.0, 30.0], Box(0, 0, 300, 200)
    places = place_labels(points, widths, 11, inside)
    boxes = [
        _box(place, x, y, width, 11)
        for place, (x, y, *_), width in zip(places, points, widths, strict=True)
    ]
    for a, b in combinations(boxes, 2):
        assert a.right <= b.left or b.right <= a.left or a.bottom <= b.top or b.bottom <= a.top
    assert boxes[3].right <= 300, "a label at the edge is on the inner side of its point"
    (alone,) = place_labels(points[3:], [10.0], 11, inside)
    assert (alone.anchor, alone.dy) == ("start", 0), "a label that is alone has the best place"
