"""Plots of one model for its section of a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from fittingroom.reporting.page import percent
from fittingroom.reporting.plot import Axis, Plot, linear_axis

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Calibration, ModelAnalysis
    from fittingroom.evaluation.calibration import Reliability
    from fittingroom.models.layer import Layer


def curves(model: ModelAnalysis) -> list[Markup]:
    """Training and validation loss and accuracy by epoch; a dotted line marks the kept epoch."""
    epochs = [row.epoch for row in model.history]
    steps = linear_axis("epoch", [*epochs, min(epochs) + 1], margin=0.02).ticks
    whole = {text: value for text, value in steps.items() if value == int(value)}
    x = Axis("epoch", min(epochs) - 0.2, max(*epochs, min(epochs) + 1) + 0.2, whole)
    plots = []
    for name, title, scale in (("loss", "loss", 1), ("accuracy", "accuracy, %", 100)):
        parts = {
            part: [getattr(row, f"{part}_{name}") for row in model.history]
            for part in ("train", "validation")
        }
        known = {part: values for part, values in parts.items() if None not in values}
        drawn = {
            part: [scale * value for value in values if math.isfinite(value)]
            for part, values in known.items()
        }
        if not any(drawn.values()):
            continue
        plot = Plot(x, linear_axis(title, [v for values in drawn.values() for v in values]))
        for part, values in drawn.items():
            if len(values) == len(epochs):
                plot.line(epochs, values, "blue" if part == "validation" else "dashed")
        if model.kept_epoch is not None:
            plot.upright(model.kept_epoch, "dotted", f"kept: {model.kept_epoch}")
        plots.append(plot.svg(f"{name.capitalize()} of {model.model} by epoch."))
    return plots


def reliability_plots(model: str, calibration: Calibration, number: int) -> list[Markup]:
    """Accuracy by predicted probability, before and after temperature scaling.

    A perfectly calibrated model lies on the diagonal; bars are the share of images. `number` is
    that of the model on the page.
    """
    after = f"at temperature {calibration.temperature:.2f}"
    return [
        _reliability(model, calibration.before, "uncalibrated", f"images?model={number}"),
        _reliability(model, calibration.after, after, ""),
    ]


def _reliability(model: str, bins: Reliability, what: str, view: str) -> Markup:
    """Points lead to the images of their bin, `view` among all of the page."""
    ticks = {str(tick): float(tick) for tick in (0, 25, 50, 75, 100)}
    plot = Plot(Axis(f"probability, {what}, %", 0, 100, ticks), Axis("accuracy, %", 0, 102, ticks))
    shares = 100 * bins.counts / max(bins.counts.sum(), 1)
    for left, right, share in zip(bins.edges[:-1], bins.edges[1:], shares, strict=True):
        plot.bar((100 * left, 100 * right), float(share), "gray")
    plot.line([0, 100], [0, 100], "dashed")
    filled = bins.counts > 0
    confidence, accuracy = 100 * bins.confidence[filled], 100 * bins.accuracy[filled]
    plot.line([*map(float, confidence)], [*map(float, accuracy)], "blue")
    ends = np.column_stack([bins.edges[:-1], bins.edges[1:]])[filled]
    for x, y, count, (low, high) in zip(
        confidence, accuracy, bins.counts[filled], ends, strict=True
    ):
        tip = f"{count:,} images with a probability of {x:.0f}%: {y:.1f}% are correct"
        bin_view = f"{view}&from={100 * low:.0f}&to={100 * high:.0f}" if view else ""
        plot.point(float(x), float(y), "blue", tip=tip, view=bin_view)
    return plot.svg(
        f"Reliability diagram of {model}, {what}: expected calibration error "
        f"{percent(bins.expected_calibration_error)}."
    )


@dataclass(frozen=True)
class Block:
    """A layer, drawn as high as its feature map and as wide as its channels, in pixels."""

    layer: Layer
    width: int
    height: int


def blocks_of(layers: Sequence[Layer]) -> list[Block]:
    """The layers from the image to the classes; widths are logarithmic.

    A layer without feature maps is a bar whose height is the logarithm of its units.
    """
    return [Block(layer, *_size(layer)) for layer in layers]


def _size(layer: Layer) -> tuple[int, int]:
    if len(layer.output_shape) == 3:
        channels, height, _ = layer.output_shape
        return round(4 + 4 * math.log2(channels + 1)), 3 * min(height, 40)
    return 6, round(6 * math.log2(layer.output_shape[0] + 1))
