"""Plots of one model, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from fittingroom.formatting import shorten
from fittingroom.reporting.style import BLUE, GRID, INK, MUTED, ORANGE, STYLE, WIDTH

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Calibration, EpochFigures
    from fittingroom.evaluation.calibration import Reliability
    from fittingroom.evaluation.confusion import ConfusionMatrix
    from fittingroom.models.layers import Layer


def learning_curves(history: Sequence[EpochFigures], kept_epoch: int | None) -> Figure:
    """Training and validation loss and accuracy by epoch; a dotted line marks the kept epoch."""
    epochs = [row.epoch for row in history]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axes, name, scale in ((left, "loss", 1), (right, "accuracy", 100)):
            for part, color, line in (("train", MUTED, "--"), ("validation", BLUE, "-")):
                values = [getattr(row, f"{part}_{name}") for row in history]
                if None in values:
                    continue
                marker = "o" if len(values) == 1 else ""
                axes.plot(
                    epochs, scale * np.array(values, float), line, color=color, marker=marker,
                    linewidth=1.8, label={"train": "training"}.get(part, part),
                )  # fmt: skip
            if kept_epoch is not None:
                axes.axvline(kept_epoch, color=ORANGE, linewidth=1.2, linestyle=":")
                axes.annotate(
                    f"kept: {kept_epoch}", (kept_epoch, 1), (0, 4), textcoords="offset points",
                    xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=9,
                    color=MUTED,
                )  # fmt: skip
            axes.set_xlabel("epoch")
            axes.set_ylabel("loss" if name == "loss" else "accuracy, %")
            axes.grid(axis="y")
            axes.set_axisbelow(True)
            axes.xaxis.get_major_locator().set_params(integer=True)
        left.legend(frameon=False, labelcolor=INK)
    return figure


def reliability_diagram(calibration: Calibration) -> Figure:
    """Accuracy by predicted probability, before and after temperature scaling.

    A perfectly calibrated model lies on the diagonal. Below, the share of images in each bin.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = figure.subplots(2, 2, sharex=True, height_ratios=[3, 1])
        sides = (
            (calibration.before, "uncalibrated"),
            (calibration.after, f"at temperature {calibration.temperature:.2f}"),
        )
        for column, (bins, title) in enumerate(sides):
            error = bins.expected_calibration_error
            axes[0, column].set_title(
                f"{title}: expected calibration error {100 * error:.1f}%", fontsize=10, color=INK
            )
            _reliability(axes[0, column], axes[1, column], bins)
        axes[0, 0].set_ylabel("accuracy, %")
        axes[1, 0].set_ylabel("images, %")
    return figure


def _reliability(upper: Axes, lower: Axes, bins: Reliability) -> None:
    filled = bins.counts > 0
    width = bins.edges[1] - bins.edges[0]
    middles = 100 * (bins.edges[:-1] + width / 2)
    upper.plot([0, 100], [0, 100], color=MUTED, linewidth=1, linestyle="--")
    upper.plot(
        100 * bins.confidence[filled], 100 * bins.accuracy[filled], "o-", color=BLUE, markersize=5
    )
    upper.set_ylim(-3, 103)
    upper.set_xlim(-3, 103)
    upper.grid()
    upper.set_axisbelow(True)
    lower.bar(middles, 100 * bins.counts / bins.counts.sum(), 90 * width, color=MUTED)
    lower.set_xlabel("probability of the predicted class, %")


def class_histograms(
    matrix: ConfusionMatrix,
    class_names: Sequence[str],
    examples: Sequence[NDArray[np.uint8] | None] = (),
) -> Figure:
    """One panel per true class: its images by predicted class, the true one in blue, and its F1.

    `examples` are images (height, width), one of each class, drawn above the panels.
    """
    shares = matrix.counts / np.maximum(matrix.counts.sum(axis=1, keepdims=True), 1)
    scores = ["–" if np.isnan(f1) else f"{f1:.3f}" for f1 in matrix.f1]
    short = shorten(class_names, 11)
    titles = [f"{name}\nF1 {score}" for name, score in zip(short, scores, strict=True)]
    return _panels(
        shares, range(len(short)), short, examples, titles, ORANGE, "% of the true class"
    )


def probability_bars(
    probabilities: NDArray[np.floating],
    labels: Sequence[int],
    class_names: Sequence[str],
    images: Sequence[NDArray[np.uint8] | None] = (),
    titles: Sequence[str] | None = None,
) -> Figure:
    """One panel per image with its predicted probabilities (n, c); the true class in blue.

    `labels` (n,) are the true classes; `titles` and `images` (height, width) are drawn above the
    panels.
    """
    short, titles = shorten(class_names, 11), titles or [""] * len(labels)
    return _panels(probabilities, labels, short, images, titles, MUTED, "probability, %")


# Panels beside one another: how many, and their sizes in inches.
_COLUMNS = 5
_WIDE, _HIGH, _IMAGE = 1.7, 1.5, 0.7
_NAMES, _BETWEEN, _TITLE, _TICKS = 0.95, 0.3, 0.4, 0.3


def _panels(
    shares: NDArray[np.floating],
    labels: Sequence[int],
    names: Sequence[str],
    images: Sequence[NDArray[np.uint8] | None],
    titles: Sequence[str],
    color: str,
    axis: str,
) -> Figure:
    """A panel of bars for each row of `shares` (n, c), blue for its label, else `color`.

    All are drawn in one axes in units of inches: one axes per panel and per image would take most
    of the time that a page takes.
    """
    n, classes = shares.shape
    columns = min(_COLUMNS, n)
    row_height = _TICKS + _HIGH + _TITLE + (_IMAGE if images else 0)
    width = _NAMES + columns * (_WIDE + _BETWEEN)
    height = -(-n // columns) * row_height + 0.3
    # The lower left corner of each panel, and the depth of each bar below the panel's top.
    rows, column_of = np.divmod(np.arange(n), columns)
    left = _NAMES + column_of * (_WIDE + _BETWEEN)
    bottom = height - (rows + 1) * row_height + _TICKS
    line = _HIGH / (classes + 0.2)
    depth = line * (np.arange(classes) + 0.6)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.axis("off")
        is_label = np.arange(classes) == np.asarray(labels)[:, None]
        axes.barh(
            (bottom[:, None] + _HIGH - depth).ravel(),
            _WIDE * shares.ravel(),
            0.75 * line,
            np.repeat(left, classes),
            color=np.where(is_label, BLUE, color).ravel().tolist(),
        )
        axes.hlines(bottom, left, left + _WIDE, GRID, linewidth=0.8)
        small: dict[str, Any] = {"fontsize": 8, "color": MUTED}
        for i, (x, y) in enumerate(zip(left, bottom, strict=True)):
            for tick in (0, 50, 100):
                at = x + _WIDE * tick / 100
                axes.text(at, y - 0.06, str(tick), ha="center", va="top", **small)
            axes.text(x + _WIDE / 2, y + _HIGH + 0.08, titles[i], ha="center", fontsize=9)
            if images and (image := images[i]) is not None:
                _draw_image(axes, image, x + _WIDE / 2, y + _HIGH + _TITLE)
        if classes <= 12:
            for y in bottom[column_of == 0]:
                for name, below in zip(names, depth, strict=True):
                    x = _NAMES - 0.05
                    axes.text(x, y + _HIGH - below, name, ha="right", va="center", **small)
        axes.set(xlim=(0, width), ylim=(0, height))
        figure.supxlabel(axis, fontsize=9, color=MUTED)
    return figure


def _draw_image(axes: Axes, image: NDArray[np.uint8], middle: float, bottom: float) -> None:
    """Draw an image above a panel, as large as fits; the axes are in inches."""
    height, width = image.shape
    pixel = min(_IMAGE / height, _WIDE / width)
    half, top = pixel * width / 2, bottom + pixel * height
    extent = (middle - half, middle + half, bottom, top)
    axes.imshow(image, cmap="gray_r", interpolation="nearest", extent=extent, aspect="auto")


def architecture(layers: Sequence[Layer]) -> Figure:
    """A network as blocks from left to right; height is the feature map's, width its channels.

    Widths are logarithmic. A layer without feature maps is a bar whose height is the logarithm of
    its units.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
        axes = figure.subplots()
        x, tallest = 0.0, max(_size(layer)[1] for layer in layers)
        for layer in layers:
            if not layer.parameters and layer.kind not in ("MaxPool", "Stem"):
                continue
            width, height = _size(layer)
            block = Rectangle(
                (x, -height / 2), width, height, facecolor=BLUE, alpha=0.55, edgecolor=GRID
            )
            axes.add_patch(block)
            axes.text(
                x + width / 2, -tallest / 2 - 1, _layer_text(layer), ha="right", va="top",
                rotation=40, rotation_mode="anchor", fontsize=8,
            )  # fmt: skip
            x += width + 1.2
        axes.set_xlim(-1, x)
        axes.set_ylim(-tallest / 2 - 12, tallest / 2 + 1)
        axes.axis("off")
    return figure


def _size(layer: Layer) -> tuple[float, float]:
    """Width and height of a layer's block."""
    if len(layer.output_shape) == 3:
        channels, height, _ = layer.output_shape
        return 0.5 + 0.5 * float(np.log2(channels + 1)), float(height)
    return 0.6, 2 * float(np.log2(layer.output_shape[0] + 1))


def _layer_text(layer: Layer) -> str:
    return f"{layer.kind} {'×'.join(map(str, layer.output_shape))}"
