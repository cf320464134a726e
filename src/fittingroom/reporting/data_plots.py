"""Plots of a data set for its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from fittingroom.reporting.class_colors import CLASS_COLORS
from fittingroom.reporting.plot import Axis, Plot

if TYPE_CHECKING:
    from fittingroom.bench.explore import ImageMap

#: Pixels that the embedding is high.
_HEIGHT = 440
#: Markers, as paths about the origin: disc, square, triangles, diamond, plus, cross, ring, bars.
_SHAPES = (
    "M-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0",
    "M-2.6,-2.6h5.2v5.2h-5.2z",
    "M0,-3.4L3.3,2.4H-3.3z",
    "M0,3.4L3.3,-2.4H-3.3z",
    "M0,-3.7L3.7,0L0,3.7L-3.7,0z",
    "M-1.1,-3.3h2.2v2.2h2.2v2.2h-2.2v2.2h-2.2v-2.2h-2.2v-2.2h2.2z",
    "M-3,-1.5L-1.5,-3L0,-1.5L1.5,-3L3,-1.5L1.5,0L3,1.5L1.5,3L0,1.5L-1.5,3L-3,1.5L-1.5,0z",
    "M-3.4,0a3.4,3.4 0 1,0 6.8,0a3.4,3.4 0 1,0 -6.8,0"
    "M-1.6,0a1.6,1.6 0 1,1 3.2,0a1.6,1.6 0 1,1 -3.2,0",
    "M-3.6,-1.2h7.2v2.4h-7.2z",
    "M-1.2,-3.6h2.4v7.2h-2.4z",
)


def pixel_histogram(histograms: Mapping[str, Sequence[int]], label: str) -> Markup:
    """The share of all pixels by value, the first split blue and the second dashed.

    `histograms` maps each split to its counts (256,). The axis is logarithmic, since the most
    common value, often the background, would dwarf all others. A value without pixels is at the
    lower end.
    """
    shares = [np.asarray(counts) / np.sum(counts) for counts in histograms.values()]
    known = np.concatenate([share[share > 0] for share in shares])
    low, high = float(known.min()) / 1.5, min(1.0, float(known.max()) * 1.5)
    powers = [10.0**power for power in range(-12, 1) if low <= 10.0**power <= high]
    plot = Plot(
        Axis("pixel value", 0, 255, {str(value): float(value) for value in range(0, 256, 51)}),
        Axis(
            "share of all pixels, log scale",
            low,
            high,
            {f"{100 * power:g}%": power for power in powers},
            is_log=True,
        ),
    )
    for share, kind in zip(shares, ("blue", "dashed"), strict=True):
        plot.line(range(256), [*map(float, share.clip(min=low))], kind)
    return plot.svg(label)


@dataclass(frozen=True)
class ClassMark:
    """How a plot marks a class, and the class's name."""

    name: str
    color: str
    shape: str


def class_marks(names: Sequence[str]) -> list[ClassMark]:
    """A colour and a shape for each class, no two alike for up to a hundred classes."""
    colors, shapes = len(CLASS_COLORS), len(_SHAPES)
    return [
        ClassMark(name, CLASS_COLORS[label % colors], _SHAPES[(label + label // colors) % shapes])
        for label, name in enumerate(names)
    ]


def embedding(
    embedded: ImageMap, labels: NDArray[np.integer], marks: Sequence[ClassMark], label: str
) -> Markup:
    """Embedded images as marks of their classes, in a group `data-class` for each class.

    `labels` (n,) are the classes of the embedded images; `label` describes the plot to screen
    readers.
    """
    low, high = embedded.points.min(axis=0), embedded.points.max(axis=0)
    scaled = 100 * (embedded.points - low) / np.where(high > low, high - low, 1)
    groups = []
    for number in np.unique(labels):
        mark = marks[number]
        points = "".join(
            f'<use href="#mark-{number}" x="{x:.1f}%" y="{100 - y:.1f}%"/>'
            for x, y in scaled[labels == number]
        )
        groups.append(
            Markup(
                '<defs><path id="mark-{0}" d="{1}"/></defs>'
                '<g data-class="{0}" data-tip="{2}" fill="{3}">{4}</g>'
            ).format(number, mark.shape, mark.name, mark.color, Markup(points))
        )
    return Markup(
        '<svg class="plot" role="img" aria-label="{}" style="height:{}px">{}</svg>'
    ).format(label, _HEIGHT, Markup("").join(groups))
