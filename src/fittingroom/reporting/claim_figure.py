"""The plot of a claim: the claimed value beside the measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from fittingroom.reporting.style import BLUE, ORANGE, STYLE, WIDTH, label_rows

if TYPE_CHECKING:
    from fittingroom.bench.claims.verdict import Bar


def claim_figure(bars: Sequence[Bar], *, difference: bool = False) -> Figure:
    """One line per value with its interval; the claimed value is orange.

    The interval of the claimed value covers every value that rounds to it; the others are
    prediction intervals for one more run. With `difference`, the axis is in percentage points.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.9 + 0.42 * len(bars)), layout="constrained")
        axes = figure.subplots()
        for y, bar in enumerate(bars):
            color = ORANGE if bar.is_claim else BLUE
            bounds = bar.interval.bounds if bar.interval else (bar.value, bar.value)
            low, high = (100 * bound for bound in bounds)
            axes.plot([low, high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
            axes.plot(100 * bar.value, y, "D" if bar.is_claim else "o", color=color, markersize=7)
            axes.annotate(
                f"{100 * bar.value:.2f}", (high, y), (9, 0), textcoords="offset points",
                va="center", fontsize=10,
            )  # fmt: skip
        label_rows(axes, [bar.label for bar in bars], 44)
        axes.margins(x=0.12)
        axes.set_xlabel("difference in accuracy, points" if difference else "accuracy, %")
    return figure
