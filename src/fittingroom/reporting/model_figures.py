"""Plots of one model, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fittingroom.reporting.style import BLUE, INK, MUTED, ORANGE, STYLE, WIDTH

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Calibration, EpochFigures
    from fittingroom.evaluation.calibration import Reliability


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
