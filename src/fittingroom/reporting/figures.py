"""Plots of a comparison, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from rich.cells import cell_len

from fittingroom.evaluation.confusion import ConfusionMatrix
from fittingroom.evaluation.ranking import ALPHA
from fittingroom.formatting import duration, format_signed, shorten
from fittingroom.reporting.heat_table import CLASSES, MODELS
from fittingroom.reporting.images import data_uri
from fittingroom.reporting.label_offsets import Box, place_labels
from fittingroom.reporting.style import (
    BLUE,
    INK,
    MUTED,
    ON_DARK,
    ORANGE,
    STYLE,
    WIDTH,
    label_rows,
)
from fittingroom.reporting.time_axis import FIT_TICKS, PREDICT_TICKS, pareto_front, short_time

if TYPE_CHECKING:
    from fittingroom.bench.comparison.leaderboard import Leaderboard
    from fittingroom.bench.comparison.rows import Row
    from fittingroom.reporting.references import Reference


def accuracy_intervals(leaderboard: Leaderboard, references: Sequence[Reference] = ()) -> Figure:
    """Test accuracy with 95% interval, one line per model, in the leaderboard's order.

    The first model and those that can't be told apart from it are blue; a hollow marker means
    that the interval is unknown. Dotted lines are the `references` that lie no farther from the
    models than these lie from one another.
    """
    rows = leaderboard.tested
    alike = {rows[0].model, *rows[0].indistinguishable_from} if rows else set()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.8 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for y, row in enumerate(rows):
            assert row.test is not None
            low, high = (100 * end for end in row.test.ends)
            color = BLUE if row.model in alike else MUTED
            axes.plot([low, high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
            fill = color if row.test.ci95 else "none"
            axes.plot(
                100 * row.test.headline, y, "o", color=color, markerfacecolor=fill, markersize=7
            )
            axes.annotate(
                f"{100 * row.test.headline:.2f}", (high, y), (7, 0), textcoords="offset points",
                va="center", fontsize=10,
            )  # fmt: skip
        _draw_references(axes, rows, references)
        label_rows(axes, [row.model for row in rows])
        axes.margins(x=0.09)
        axes.set_xlabel(f"test {leaderboard.figure}, %")
    return figure


def _draw_references(axes: Axes, rows: Sequence[Row], references: Sequence[Reference]) -> None:
    """Dotted lines at reported accuracies; their names stand above, every second one higher."""
    ends = [end for row in rows if row.test for end in row.test.ends]
    if not ends:
        return
    low, high = 2 * min(ends) - max(ends), 2 * max(ends) - min(ends)
    shown = [reference for reference in references if low <= reference.accuracy <= high]
    for i, reference in enumerate(shown):
        x = 100 * reference.accuracy
        axes.axvline(x, color=MUTED, linewidth=1.2, linestyle=":")
        axes.annotate(
            f"{reference.name} {x:.1f}", (x, 1), (0, 4 + 11 * (i % 2)),
            xycoords=("data", "axes fraction"), textcoords="offset points",
            ha="center", va="bottom", fontsize=9, color=MUTED,
        )  # fmt: skip


def accuracy_against_time(leaderboard: Leaderboard) -> Figure | None:
    """Test accuracy against training time (log axis); None if no time is known.

    The Pareto front is blue: models whose mean accuracy no faster model reaches.
    """
    times = {row.model: row.fit_seconds for row in leaderboard.tested}
    return _plot_against_time(leaderboard, times, FIT_TICKS, "training time", duration)


def accuracy_against_prediction_time(leaderboard: Leaderboard) -> Figure | None:
    """Test accuracy against inference time per image; otherwise the same."""
    times = {
        row.model: None if row.predict_us_per_image is None else 1e-6 * row.predict_us_per_image
        for row in leaderboard.tested
    }
    return _plot_against_time(
        leaderboard, times, PREDICT_TICKS, "inference time per image", short_time
    )


def _plot_against_time(
    leaderboard: Leaderboard,
    seconds: Mapping[str, float | None],
    ticks: Sequence[float],
    axis: str,
    format_tick: Callable[[float], str],
) -> Figure | None:
    rows = [row for row in leaderboard.tested if seconds[row.model] is not None]
    if not rows:
        return None
    times = np.array([max(seconds[row.model] or 0.0, ticks[0]) for row in rows])
    means = np.array([100 * row.test.headline for row in rows if row.test])
    ends = np.array([[100 * end for end in row.test.ends] for row in rows if row.test])
    front = pareto_front(times, means)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.8))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.08, right=0.98, top=0.97, bottom=0.12)
        for time, mean, (low, high), blue in zip(times, means, ends, front, strict=True):
            color = BLUE if blue else MUTED
            axes.plot([time, time], [low, high], color=color, linewidth=1.6)
            axes.plot(time, mean, "o", color=color, markersize=7)
        axes.set_xscale("log")
        axes.set_xlim(times.min() / 1.8, times.max() * 1.8)
        axes.margins(y=0.08)
        low, high = axes.get_xlim()
        shown = [tick for tick in ticks if low <= tick <= high]
        axes.set_xticks(shown, [format_tick(tick) for tick in shown])
        axes.set_xticks([], minor=True)
        axes.set_xlabel(axis)
        axes.set_ylabel(f"test {leaderboard.figure}, %")
        axes.grid()
        axes.set_axisbelow(True)
        names = shorten([row.model for row in rows], 40)
        _label_points(axes, names, np.column_stack([times, means, ends]))
    return figure


def differences(leaderboard: Leaderboard) -> Figure | None:
    """Matrix of accuracy differences, row minus column, in percentage points.

    Only differences that are significant after adjustment for all pairs are coloured. None if
    fewer than two models were tested; of more than `MODELS`, the first are shown.
    """
    names = [row.model for row in leaderboard.tested][:MODELS]
    if len(names) < 2:
        return None
    index = {name: i for i, name in enumerate(names)}
    size = 0.62 * max(len(names), 4)  # two columns are narrower than the label below them
    wide, tall = _label_inches(names, names)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(size + wide, size + tall), layout="constrained")
        axes = figure.subplots()
        for pair in leaderboard.pairs:
            if not {pair.a, pair.b} <= index.keys():
                continue
            for name, other, sign in ((pair.a, pair.b, 1), (pair.b, pair.a, -1)):
                i, j, points = index[name], index[other], sign * 100 * pair.difference
                if pair.p_adjusted is not None and pair.p_adjusted <= ALPHA:
                    cell = Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, alpha=0.3)
                    cell.set_facecolor(BLUE if points > 0 else ORANGE)
                    axes.add_patch(cell)
                axes.text(j, i, format_signed(points, 1).replace("-", "−"), ha="center",
                          va="center", fontsize=9)  # fmt: skip
        _name_cells(axes, names, names)
        axes.set_xlabel("row minus column, percentage points")
    return figure


def confusion(matrix: ConfusionMatrix, class_names: Sequence[str]) -> Figure:
    """Confusion matrix: each row is a true class, with its shares by predicted class in percent.

    Correct is blue; wrong is vermilion, stronger the more frequent, relative to the most frequent
    error. With more than `CLASSES` classes there are no names and no numbers.
    """
    classes = len(class_names)
    totals = matrix.counts.sum(axis=1, keepdims=True)
    shares = matrix.counts / np.maximum(totals, 1)  # (c, c); a row without images is empty
    worst = max(float((shares - np.diag(np.diag(shares))).max()), 1e-9)
    size = 0.55 * max(classes, 4) if classes <= CLASSES else 7.0
    wide, tall = _label_inches(class_names, class_names) if classes <= CLASSES else (0.5, 0.5)
    below = "predicted class, % of the true class"
    least = 0.085 * len(below) + 1  # the label may be wider than the cells of few classes
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(size + wide, least), size + tall), layout="constrained")
        axes = figure.subplots()
        if classes > CLASSES:
            axes.imshow(_cell_colors(shares, worst), interpolation="nearest")
        for i, j in np.argwhere(shares > 0) if classes <= CLASSES else ():
            share = float(shares[i, j])
            color, depth = (BLUE, share) if i == j else (ORANGE, 0.75 * share / worst)
            cell = Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, facecolor=color, alpha=depth)
            axes.add_patch(cell)
            if classes <= 20:
                ink = ON_DARK if i == j and depth > 0.55 else INK
                axes.text(j, i, _percent(share), ha="center", va="center", fontsize=9.5, color=ink)
        _name_cells(axes, class_names, class_names)
        if classes > CLASSES:
            axes.set_xticks([])
            axes.set_yticks([])
        axes.set_ylabel("true class")
        axes.set_xlabel(below)
        axes.set_aspect("equal")
    return figure


def confusion_picture(matrix: ConfusionMatrix, label: str) -> Markup:
    """A confusion matrix without names or numbers as an `<img>` element, a pixel for each cell."""
    totals = matrix.counts.sum(axis=1, keepdims=True)
    shares = matrix.counts / np.maximum(totals, 1)
    worst = max(float((shares - np.diag(np.diag(shares))).max()), 1e-9)
    colors = np.round(255 * _cell_colors(shares, worst)).astype(np.uint8)
    return Markup('<img class="matrix" src="{}" alt="{}">').format(data_uri(colors), label)


def _cell_colors(shares: NDArray[np.floating], worst: float) -> NDArray[np.floating]:
    """RGBA colours (c, c, 4) of the cells, for an image; so many rectangles would be slow."""
    colors = np.empty((*shares.shape, 4))
    colors[:] = to_rgba(ORANGE)
    colors[..., 3] = 0.75 * shares / worst
    diagonal = np.arange(len(shares))
    colors[diagonal, diagonal] = to_rgba(BLUE)
    colors[diagonal, diagonal, 3] = np.diag(shares)
    return colors


def _label_inches(rows: Sequence[str], columns: Sequence[str]) -> tuple[float, float]:
    """Width and height in inches of the labels left of the cells and slanted above them."""
    down, across = (max(map(cell_len, shorten(names))) for names in (rows, columns))
    return 0.7 + 0.085 * down + 0.06 * across, 0.75 + 0.06 * across


def _name_cells(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Set limits for cells centred on integers, and label rows at the left, columns above."""
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    across, down = shorten(columns), shorten(rows)
    axes.set_xticks(range(len(columns)), across, rotation=45, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), down)
    axes.tick_params(labelcolor=INK, length=0, top=True, labeltop=True, labelbottom=False)
    axes.spines["bottom"].set_visible(False)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= 0.0005 else "·"


def _label_points(axes: Axes, names: Sequence[str], points: NDArray[np.float64]) -> None:
    """Write each name beside its point, where it covers least of points, lines and other names.

    `points` is (n, 4): x, y, and the lower and upper end of the vertical line.
    """
    size = 10
    x, y, low, high = points.T
    at = axes.transData.transform(np.column_stack([x, y]))  # (n, 2) pixels from the lower left
    ends = [axes.transData.transform(np.column_stack([x, end]))[:, 1] for end in (low, high)]
    pixels = np.column_stack([at[:, 0], -at[:, 1], -ends[0], -ends[1]])  # y grows downwards
    left, bottom, right, top = axes.get_window_extent().extents
    inside = Box(left, -top, right, -bottom)
    widths = [0.58 * size * len(name) for name in names]
    for name, place, point_x, point_y in zip(
        names, place_labels(pixels, widths, size, inside), x, y, strict=True
    ):
        axes.annotate(
            name, (point_x, point_y), (place.dx, -place.dy), textcoords="offset points",
            ha="left" if place.anchor == "start" else "right", va="center", fontsize=size,
        )  # fmt: skip
