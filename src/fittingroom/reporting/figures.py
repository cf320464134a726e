"""The pictures of a leaderboard: matplotlib figures, and the same as SVG text for a page.

Blue and vermilion are told apart with any kind of colour vision (Okabe and Ito 2008).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from fittingroom.bench.cells import duration
from fittingroom.evaluation.confusion import ConfusionMatrix

if TYPE_CHECKING:
    from fittingroom.bench.leaderboard import Leaderboard, Row

INK, MUTED, GRID = "#1c212b", "#666e7d", "#d9dde4"
RIGHT, WRONG, ON_DARK = "#0072b2", "#d55e00", "#fefefe"

# A page that has a dark mode can't use fixed colours: its style sheet gives these their values.
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    RIGHT: "var(--blue)",
    WRONG: "var(--orange)",
    ON_DARK: "var(--on-blue)",
}
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "figure.dpi": 72,  # so that a point is a pixel, in SVG as in label_points
    "font.size": 11,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "US$ or A$"
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.color": GRID,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
}
# Where a name may stand beside its point: alignment and offset in pixels, best first.
_PLACES = tuple(
    (side, sign * dx, dy)
    for dx, dy in [(8, 0), (7, 9), (7, -9), (7, 18), (7, -18), (7, 27), (7, -27)]
    for side, sign in [("left", 1), ("right", -1)]
)
_TICKS = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36_000, 360_000)  # seconds


def accuracy_intervals(leaderboard: Leaderboard) -> Figure:
    """Test accuracy with its 95% interval, one line a model, in the leaderboard's order.

    Blue are the first model and those that can't be told apart from it.
    """
    rows = _tested(leaderboard)
    alike = {rows[0].model, *rows[0].indistinguishable_from} if rows else set()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.4, 0.8 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for y, row in enumerate(rows):
            assert row.test is not None
            low, high = (100 * end for end in row.test.ci95)
            color = RIGHT if row.model in alike else MUTED
            axes.plot([low, high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
            axes.plot(100 * row.test.accuracy, y, "o", color=color, markersize=7)
            axes.annotate(
                f"{100 * row.test.accuracy:.2f}", (high, y), (7, 0), textcoords="offset points",
                va="center", fontsize=10,
            )  # fmt: skip
        axes.set_yticks(range(len(rows)), [row.model for row in rows])
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.margins(x=0.09)
        axes.set_xlabel("test accuracy, %")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
    return figure


def accuracy_against_time(leaderboard: Leaderboard) -> Figure | None:
    """Test accuracy against the time to fit, on a logarithmic axis; None where no time is known.

    Blue are the models that no faster one reaches in mean accuracy.
    """
    rows = [row for row in _tested(leaderboard) if row.fit_seconds is not None]
    if not rows:
        return None
    times = np.array([max(row.fit_seconds or 0.0, _TICKS[0]) for row in rows])
    means = np.array([100 * row.test.accuracy for row in rows if row.test])
    ends = np.array([[100 * end for end in row.test.ci95] for row in rows if row.test])
    unbeaten = [not np.any((times < t) & (means >= m)) for t, m in zip(times, means, strict=True)]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.4, 4.8))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.08, right=0.98, top=0.97, bottom=0.12)
        for time, mean, (low, high), blue in zip(times, means, ends, unbeaten, strict=True):
            color = RIGHT if blue else MUTED
            axes.plot([time, time], [low, high], color=color, linewidth=1.6)
            axes.plot(time, mean, "o", color=color, markersize=7)
        axes.set_xscale("log")
        axes.set_xlim(times.min() / 1.8, times.max() * 1.8)
        axes.margins(y=0.08)
        low, high = axes.get_xlim()
        ticks = [tick for tick in _TICKS if low <= tick <= high]
        axes.set_xticks(ticks, [duration(tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("time to fit")
        axes.set_ylabel("test accuracy, %")
        axes.grid()
        axes.set_axisbelow(True)
        _label_points(axes, [row.model for row in rows], np.column_stack([times, means, ends]))
    return figure


def confusion(matrix: ConfusionMatrix, class_names: Sequence[str]) -> Figure:
    """Each true class as a line: the share of its images by predicted class, in percent.

    Right is blue; wrong is vermilion, the darker the more, relative to the commonest mistake.
    """
    classes = len(class_names)
    totals = matrix.counts.sum(axis=1, keepdims=True)
    shares = matrix.counts / np.maximum(totals, 1)  # (c, c), a line without images is empty
    worst = max(float((shares - np.diag(np.diag(shares))).max()), 1e-9)
    size = 0.55 * max(classes, 4)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(size + 2.0, size + 1.4), layout="constrained")
        axes = figure.subplots()
        for i, j in np.ndindex(classes, classes):
            share = float(shares[i, j])
            if share == 0:
                continue
            color, depth = (RIGHT, share) if i == j else (WRONG, 0.75 * share / worst)
            cell = Rectangle((j - 0.48, i - 0.48), 0.96, 0.96, facecolor=color, alpha=depth)
            axes.add_patch(cell)
            if classes <= 20:
                ink = ON_DARK if i == j and depth > 0.55 else INK
                axes.text(j, i, _percent(share), ha="center", va="center", fontsize=9.5, color=ink)
        axes.set_xlim(-0.5, classes - 0.5)
        axes.set_ylim(classes - 0.5, -0.5)
        axes.set_xticks(range(classes), class_names, rotation=45, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(classes), class_names)
        axes.tick_params(labelcolor=INK, length=0, top=True, labeltop=True, labelbottom=False)
        axes.spines["bottom"].set_visible(False)
        axes.set_ylabel("true class")
        axes.set_xlabel("predicted class, % of the true class")
        axes.set_aspect("equal")
    return figure


def inline_svg(figure: Figure, label: str) -> Markup:
    """The figure as an `<svg>` element for a page, with `label` for those who can't see it.

    The same figure always gives the same text. Colours are CSS variables (`--ink`, `--muted`,
    `--grid`, `--blue`, `--orange`, `--on-blue`), and text stays text in the page's own font.
    """
    # The style again, since matplotlib makes some ticks only as it draws.
    settings: dict[Any, Any] = {**_STYLE, "svg.fonttype": "none", "svg.hashsalt": label}
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context(settings), StringIO() as buffer:
        figure.savefig(buffer, format="svg", metadata=nothing)
        text = buffer.getvalue()
    text = text[text.index("<svg") :]
    view = re.search(r'viewBox="([^"]*)"', text)
    assert view is not None
    body = text[text.index(">") + 1 :]
    # Numbered names would repeat from figure to figure; what is referred to carries the salt.
    body = re.sub(r' id="[\w.]+_\d+"', "", body).replace("xlink:href", "href")
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)  # it would be the page's too
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    body = re.sub(r"font-family: [^;\"]*;?", "", body)
    for color, variable in _VARIABLES.items():
        body = body.replace(color, variable)
    return Markup(
        f'<svg viewBox="{view[1]}" role="img" aria-label="{escape(label)}">{body.strip()}'
    )


def _tested(leaderboard: Leaderboard) -> list[Row]:
    return [row for row in leaderboard.rows if row.test is not None]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= 0.0005 else "·"


def _label_points(axes: Axes, names: Sequence[str], points: NDArray[np.float64]) -> None:
    """Write each name beside its point, where it covers least of points, lines and other names.

    `points` is (n, 4): x, y, and the low and high end of its vertical line.
    """
    size = 10
    x, y, low, high = points.T
    at = axes.transData.transform(np.column_stack([x, y]))  # (n, 2) pixels
    ends = [axes.transData.transform(np.column_stack([x, end]))[:, 1] for end in (low, high)]
    taken = [Bbox.from_extents(px - 5, py - 5, px + 5, py + 5) for px, py in at]
    taken += [
        Bbox.from_extents(px - 2, below, px + 2, above)
        for (px, _), below, above in zip(at, *ends, strict=True)
    ]
    inside = axes.get_window_extent()
    for name, (px, py), point_x, point_y in zip(names, at, x, y, strict=True):
        width = 0.58 * size * len(name)
        left_of = {"left": 0.0, "center": width / 2, "right": width}
        boxes = [
            Bbox.from_bounds(px + dx - left_of[side], py + dy - size / 2, width, size)
            for side, dx, dy in _PLACES
        ]
        covered = [_covered(box, taken) + 9 * _outside(box, inside) for box in boxes]
        best = int(np.argmin(covered))  # of equal ones the first, the nearest
        side, dx, dy = _PLACES[best]
        taken.append(boxes[best])
        axes.annotate(
            name, (point_x, point_y), (dx, dy), textcoords="offset points",
            ha=side, va="center", fontsize=size,
        )  # fmt: skip


def _covered(box: Bbox, taken: Sequence[Bbox]) -> float:
    shared = (Bbox.intersection(box, other) for other in taken)
    return sum(part.width * part.height for part in shared if part is not None)


def _outside(box: Bbox, inside: Bbox) -> float:
    return float(box.width * box.height) - _covered(box, [inside])
