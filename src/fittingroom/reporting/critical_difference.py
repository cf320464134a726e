"""A critical difference diagram: which models can't be told apart, on the axis of accuracy.

After Demšar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets" (JMLR 7:1-30),
figure 1, with the accuracy on one data set in place of average ranks, and with our tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fittingroom.errors import ReportError
from fittingroom.formatting import shorten
from fittingroom.reporting.alike import groups_alike
from fittingroom.reporting.heat_table import MODELS
from fittingroom.reporting.style import INK, STYLE, WIDTH

if TYPE_CHECKING:
    from fittingroom.bench.comparison.leaderboard import Leaderboard

#: Heights in the figure: of a bar, and of a model's line.
BAR, LINE = 0.35, 0.8


def critical_difference(board: Leaderboard) -> Figure:
    """The diagram of the tested models, the first `MODELS` of more.

    Raises ReportError if there are fewer than two.
    """
    rows = board.tested[:MODELS]
    if len(rows) < 2:
        raise ReportError("a critical difference diagram needs two tested models.")
    groups = groups_alike(rows)
    accuracies = [100 * row.test.headline for row in rows if row.test is not None]
    top = BAR * (len(groups) + 1)
    depth = top + LINE * ((len(rows) + 1) // 2)
    margin = 0.12 * (accuracies[0] - accuracies[-1] or 1.0)
    low, high = accuracies[-1] - margin, accuracies[0] + margin
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.8 + 0.32 * depth), layout="constrained")
        axes = figure.subplots()
        axes.set(xlim=(low, high), ylim=(-depth, 0), yticks=[])
        axes.xaxis.set(ticks_position="top", label_position="top")
        axes.spines["top"].set_visible(True)
        axes.spines["bottom"].set_visible(False)
        axes.set_xlabel(f"test {board.figure}, %")
        for i, (first, last) in enumerate(groups):
            ends = [accuracies[last], accuracies[first]]
            axes.plot(ends, [-BAR * (i + 1)] * 2, color=INK, linewidth=4, solid_capstyle="butt")
        _name_models(axes, [row.model for row in rows], accuracies, top)
    return figure


def _name_models(
    axes: Axes, models: Sequence[str], accuracies: Sequence[float], top: float
) -> None:
    """Lines from the axis to names: of the better half on the right, of the others on the left."""
    low, high = axes.get_xlim()
    right = (len(models) + 1) // 2
    for i, (name, accuracy) in enumerate(zip(shorten(models, 40), accuracies, strict=True)):
        side = high if i < right else low
        line = i if i < right else len(models) - 1 - i
        y = -top - LINE * (line + 0.5)
        axes.plot([accuracy, accuracy, side], [0, y, y], color=INK, linewidth=1)
        axes.annotate(
            f"{name} {accuracy:.2f}", (side, y), (5 if i < right else -5, 0),
            textcoords="offset points", va="center", ha="left" if i < right else "right",
            annotation_clip=False,
        )  # fmt: skip


def as_pdf(figure: Figure) -> bytes:
    """The figure as a PDF file, always the same for the same figure."""
    with mpl.rc_context(STYLE), BytesIO() as buffer:
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None, "Creator": None})
        return buffer.getvalue()
