"""Histograms of oriented gradients as nodes of an ONNX graph, as scikit-image computes them.

scikit-image 0.26, `skimage/feature/_hog.py` and `_hoghistogram.pyx`: gradients are differences of
the pixels on both sides, a cell's histogram sums their magnitudes by orientation, and a block of
cells is normalised, clipped at 0.2 and normalised again (Dalal and Triggs's L2-Hys). At last the
descriptor is brought to the length 1, as `HogFeatures` does.
"""

from __future__ import annotations

import numpy as np

from fittingroom.bundles.graph import Graph
from fittingroom.models.hog import HogFeatures

_EPSILON, _MOST = 1e-5, 0.2


def add_hog(graph: Graph, scaled: str, features: HogFeatures) -> str:
    """Add `HogFeatures.transform` of scaled pixels (batch, height*width), float32."""
    if features.shape_ is None:
        return scaled
    images = graph.add("Relu", graph.add("Reshape", scaled, np.array([-1, *features.shape_])))
    margins = (0, features.cell // 2) if features.second_grid else (0,)
    descriptors = [_describe(graph, images, features, margin) for margin in margins]
    return graph.add("Concat", *descriptors, axis=1)


def _describe(graph: Graph, images: str, features: HogFeatures, margin: int) -> str:
    """Descriptors (batch, features) float32 of images with a black margin around."""
    assert features.shape_ is not None
    height, width = (side + 2 * margin for side in features.shape_)
    rows, columns = height // features.cell, width // features.cell
    padded = graph.add("Pad", images, np.array([0, margin, margin, 0, margin, margin]))
    if features.square_root:
        padded = graph.add("Sqrt", padded)
    gy = graph.cast(_gradient(graph, padded, 1, height), np.float64)
    gx = graph.cast(_gradient(graph, padded, 2, width), np.float64)
    cumulated = _cumulate(graph, gy, gx, features.orientations)  # (batch, bins, height, width)
    for axis, stop in ((2, rows * features.cell), (3, columns * features.cell)):
        cumulated = graph.slice(cumulated, axis, 0, stop)
    shape = np.array([0, features.orientations, rows, features.cell, columns, features.cell])
    cells = graph.add(
        "ReduceMean", graph.add("Reshape", cumulated, shape), np.array([3, 5]), keepdims=0
    )
    cells = graph.add("Transpose", _histogram(graph, cells), perm=[0, 2, 3, 1])
    block_height, block_width = min(features.block, rows), min(features.block, columns)
    blocks = [
        _block(
            graph, graph.slice(graph.slice(cells, 1, r, r + block_height), 2, c, c + block_width)
        )
        for r in range(rows - block_height + 1)
        for c in range(columns - block_width + 1)
    ]
    joined = graph.cast(graph.add("Concat", *blocks, axis=1), np.float32)
    return graph.add("Div", joined, np.array(np.sqrt(len(blocks)), np.float32))


def _gradient(graph: Graph, images: str, axis: int, side: int) -> str:
    """The next pixel minus the previous one, of (batch, height, width); 0 at the edges."""
    after, before = graph.slice(images, axis, 2, side), graph.slice(images, axis, 0, side - 2)
    ends = np.zeros(6, np.int64)
    ends[[axis, 3 + axis]] = 1
    return graph.add("Pad", graph.add("Sub", after, before), ends)


def _cumulate(graph: Graph, gy: str, gx: str, orientations: int) -> str:
    """Each pixel's gradient magnitude in all bins up to its own, (batch, bins, h, w).

    Orientations are unsigned, 0 to below 180 degrees. A gradient, flipped to point down, has
    reached the angle at which a bin begins if its product with that angle's normal isn't negative.
    This needs no arc tangent, which onnxruntime has only in float32.
    """
    magnitude = graph.add(
        "Sqrt", graph.add("Add", graph.add("Mul", gy, gy), graph.add("Mul", gx, gx))
    )
    magnitude = graph.add("Unsqueeze", magnitude, np.array([1]))
    horizontal = graph.add("Equal", gy, np.array(0.0))
    flipped = graph.add("Mul", gx, graph.add("Sign", gy))
    gx = graph.add("Where", horizontal, graph.add("Abs", gx), flipped)
    gy = graph.add("Abs", gy)
    angles = np.pi * np.arange(1, orientations)[:, None, None] / orientations
    sides = [
        graph.add("Mul", graph.add("Unsqueeze", gradient, np.array([1])), factors)
        for gradient, factors in ((gy, np.cos(angles)), (gx, np.sin(angles)))
    ]
    reached = graph.cast(graph.add("GreaterOrEqual", *sides), np.float64)
    return graph.add("Concat", magnitude, graph.add("Mul", reached, magnitude), axis=1)


def _histogram(graph: Graph, cells: str) -> str:
    """What each bin holds, from what it and all after it hold (batch, bins, rows, columns)."""
    after = graph.slice(cells, 1, 1, np.iinfo(np.int64).max)
    ends = np.array([0, 0, 0, 0, 0, 1, 0, 0])
    return graph.add("Sub", cells, graph.add("Pad", after, ends))


def _block(graph: Graph, block: str) -> str:
    """Normalise cells (batch, rows, columns, bins) into one row, (batch, features)."""
    row = graph.add("Flatten", block, axis=1)
    return _to_unit_length(graph, graph.add("Min", _to_unit_length(graph, row), np.array(_MOST)))


def _to_unit_length(graph: Graph, rows: str) -> str:
    squares = graph.add("ReduceSumSquare", rows, np.array([1]), keepdims=1)
    length = graph.add("Sqrt", graph.add("Add", squares, np.array(_EPSILON**2)))
    return graph.add("Div", rows, length)
