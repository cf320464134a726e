"""Plots of a data set, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fittingroom.formatting import shorten
from fittingroom.reporting.style import (
    BLUE,
    CLASS_COLORS,
    CLASS_MARKERS,
    INK,
    MUTED,
    STYLE,
    WIDTH,
)

if TYPE_CHECKING:
    from fittingroom.bench.explore import ImageMap


def pixel_histogram(histograms: Mapping[str, Sequence[int]]) -> Figure:
    """Histogram of pixel values, on two scales: as stored, and divided by 255 as networks see them.

    `histograms` maps each split to its counts (256,), which are drawn as shares. The axis is
    logarithmic, since the most common value, often the background, would dwarf all others.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        for (name, counts), color, line in zip(
            histograms.items(), (BLUE, MUTED), ("-", "--"), strict=False
        ):
            shares = np.asarray(counts) / np.sum(counts)
            axes.step(np.arange(256), shares, line, where="mid", color=color)
            axes.plot([], [], line, color=color, label=name)
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        ticks = [10.0**power for power in range(-9, 1) if low <= 10.0**power <= high]
        axes.set_yticks(ticks, [f"{100 * tick:g}%" for tick in ticks])
        axes.set_yticks([], minor=True)
        axes.set_xlim(-2, 257)
        axes.set_xticks([0, 51, 102, 153, 204, 255])
        axes.set_xlabel("pixel value, stored")
        axes.set_ylabel("share of all pixels")
        scaled = axes.twiny()
        scaled.set_xlim(-2 / 255, 257 / 255)
        scaled.set_xticks(np.arange(6) / 5)
        scaled.set_xlabel("pixel value, scaled")
        axes.grid()
        axes.set_axisbelow(True)
        axes.legend(frameon=False, labelcolor=INK)
    return figure


def image_map(
    embedded: ImageMap, labels: NDArray[np.integer], class_names: Sequence[str]
) -> Figure:
    """Scatter plot of embedded images; both colour and marker encode the class.

    `labels` (n,) are the classes of the embedded images.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 6.2), layout="constrained")
        axes = figure.subplots()
        for label, name in enumerate(shorten(class_names)):
            x, y = embedded.points[labels == label].T
            axes.scatter(
                x, y, s=9, alpha=0.65, linewidths=0, label=name, rasterized=True,
                color=CLASS_COLORS[label % len(CLASS_COLORS)],
                marker=CLASS_MARKERS[label % len(CLASS_MARKERS)],
            )  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines["bottom"].set_visible(False)
        if len(class_names) <= 20:
            axes.legend(
                frameon=False, labelcolor=INK, markerscale=2.2, loc="center left",
                bbox_to_anchor=(1.0, 0.5),
            )  # fmt: skip
    return figure
