"""The charts of a comparison's page that show all models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fittingroom.formatting import duration
from fittingroom.reporting import heat_table, words
from fittingroom.reporting.alike import groups_alike
from fittingroom.reporting.heat_table import HeatTable, difference_cells, share_cells
from fittingroom.reporting.page import FigureCard, percent, points
from fittingroom.reporting.plot import Axis, Plot, linear_axis
from fittingroom.reporting.references import references_of
from fittingroom.reporting.time_axis import FIT_TICKS, PREDICT_TICKS, pareto_front, short_time

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis
    from fittingroom.bench.comparison.leaderboard import Leaderboard
    from fittingroom.bench.comparison.rows import Row


@dataclass(frozen=True)
class IntervalRow:
    """A model's figure and interval; positions are percentages of the axis."""

    model: str
    is_first: bool  # no model is significantly better
    is_known: bool  # the interval
    low: float
    at: float
    high: float
    text: str
    tip: str
    groups: Sequence[bool]  # whether it belongs to each group of models that are alike


@dataclass(frozen=True)
class IntervalChart:
    """Models on one axis, a line for each; positions are percentages of the axis.

    `references` are accuracies that others reported.
    """

    label: str
    rows: Sequence[IntervalRow]
    ticks: Mapping[str, float]
    references: Mapping[str, float]


def interval_chart(board: Leaderboard) -> IntervalChart | None:
    """Test accuracy with 95% intervals; None if no model was tested."""
    rows = board.tested
    if not rows:
        return None
    ends = [100 * end for row in rows if row.test for end in row.test.ends]
    axis = linear_axis(f"test {board.figure}, %", ends)
    references = {
        f"{reference.name} {100 * reference.accuracy:.1f}": axis.percent(100 * reference.accuracy)
        for reference in references_of(board.dataset_sha256)
        if axis.low <= 100 * reference.accuracy <= axis.high
    }
    groups = groups_alike(rows)
    return IntervalChart(
        axis.label,
        [
            _interval(row, axis, [first <= i <= last for first, last in groups], board.n_test)
            for i, row in enumerate(rows)
        ],
        {text: axis.percent(value) for text, value in axis.ticks.items()},
        references,
    )


def _interval(row: Row, axis: Axis, groups: Sequence[bool], n_test: int) -> IntervalRow:
    assert row.test is not None
    low, high = row.test.ends
    return IntervalRow(
        model=row.model,
        is_first=row.rank is not None and row.rank[0] == 1,
        is_known=row.test.ci95 is not None,
        low=axis.percent(100 * low),
        at=axis.percent(100 * row.test.headline),
        high=axis.percent(100 * high),
        text=f"{100 * row.test.headline:.2f}",
        tip=_tip(row, n_test),
        groups=groups,
    )


def _tip(row: Row, n_test: int) -> str:
    """What a reader may want to know of a model's point."""
    assert row.test is not None
    return (
        f"{row.model}: {percent(row.test.headline)}, 95% interval {points(row.test.ci95)}; "
        f"{n_test:,} test images, {words.fit_count(row)}"
    )


def time_plots(board: Leaderboard) -> list[FigureCard]:
    """Accuracy vs. training time and vs. inference time, as far as times are known."""
    rows = board.tested
    of_fit = {row.model: row.fit_seconds for row in rows}
    of_image = {
        row.model: None if row.predict_us_per_image is None else 1e-6 * row.predict_us_per_image
        for row in rows
    }
    plots = (
        _time_plot(board, "training time", of_fit, FIT_TICKS, duration),
        _time_plot(board, "inference time per image", of_image, PREDICT_TICKS, short_time),
    )
    return [plot for plot in plots if plot is not None]


def _time_plot(
    board: Leaderboard,
    what: str,
    seconds: Mapping[str, float | None],
    ticks: Sequence[float],
    format_tick: Callable[[float], str],
) -> FigureCard | None:
    known = {
        row.model: (row, max(time, ticks[0]))
        for row in board.tested
        if (time := seconds[row.model]) is not None
    }
    if not known:
        return None
    times = np.array([time for _, time in known.values()])
    scores = [row.test for row, _ in known.values() if row.test is not None]
    means = np.array([100 * score.headline for score in scores])
    ends = [[100 * end for end in score.ends] for score in scores]
    low, high = times.min() / 1.8, times.max() * 1.8
    shown = {format_tick(tick): tick for tick in ticks if low <= tick <= high}
    plot = Plot(
        Axis(f"{what}, log scale", low, high, shown, is_log=True),
        linear_axis(f"test {board.figure}, %", [end for pair in ends for end in pair]),
        height=300,
    )
    front = pareto_front(times, means)
    for (row, time), mean, (first, last), blue in zip(
        known.values(), means, ends, front, strict=True
    ):
        tip = f"{_tip(row, board.n_test)}; {what} {_exact(time)}"
        plot.point(time, mean, "blue" if blue else "gray", tip=tip, ends=(first, last))
    plot.name_points([*known])
    title = f"{board.figure[0].upper()}{board.figure[1:]} vs. {what}"
    texts = [
        f"{row.model} {100 * row.test.headline:.2f}% in {_exact(time)}"
        for row, time in known.values()
        if row.test
    ]
    return FigureCard(
        title,
        plot.svg(f"Test {board.figure} and {what}: {'; '.join(texts)}."),
        f"Blue: no faster model reaches that {board.figure} (the Pareto front). Vertical lines are "
        "95% intervals.",
    )


def _exact(seconds: float) -> str:
    return duration(seconds) if seconds >= 0.01 else f"{1e6 * seconds:,.1f} µs"


def difference_table(board: Leaderboard) -> HeatTable | None:
    """Differences between all pairs; None with fewer than two tested models."""
    names = [row.model for row in board.tested][: heat_table.MODELS]
    if len(names) < 2:
        return None
    is_cut = len(board.tested) > heat_table.MODELS
    which = f"The first {heat_table.MODELS} models. " if is_cut else ""
    return HeatTable(
        title="Pairwise comparison",
        rows=names,
        columns=names,
        cells=difference_cells(names, board.pairs),
        caption=f"{which}Test {board.figure} of the row's model minus that of the column's, in "
        "percentage points. Blue: significantly better; vermilion: significantly worse (5%, "
        "adjusted for all pairs); no colour: no significant difference.",
        corner="Row minus column",
        of_models="both",
    )


def class_table(analysis: Analysis, models: Sequence[str]) -> HeatTable:
    """The F1 score of each model by class, of the hardest classes if there are many."""
    names = analysis.board.class_names
    f1 = np.stack([analysis.models[name].confusion.f1 for name in models])  # (models, classes)
    hardest = np.sort(words.mean_f1(analysis).argsort(kind="stable")[: heat_table.CLASSES])
    which = "" if len(hardest) == len(names) else f"The {len(hardest)} hardest classes. "
    columns = [names[label] for label in hardest]
    cells = [
        [
            replace(cell, view=f"images?model={model}&true={label}&predicted=wrong")
            for label, cell in zip(hardest, row, strict=True)
        ]
        for model, row in enumerate(share_cells(f1[:, hardest], models, columns, "F1"))
    ]
    return HeatTable(
        title="F1 score by class and model",
        rows=models,
        columns=columns,
        cells=cells,
        caption=f"{which}F1 score in percent: the harmonic mean of precision and recall.",
        corner="Model",
        finding=words.hardest_for_all(analysis),
        of_models="rows",
    )


def overlap_table(analysis: Analysis, models: Sequence[str]) -> HeatTable | None:
    """The share of errors that each two models have in common; None for one model."""
    if analysis.agreement is None or len(models) < 2:
        return None
    shared = analysis.agreement.shared_mistakes[: len(models), : len(models)]
    return HeatTable(
        title="Error overlap between models",
        rows=models,
        columns=models,
        cells=share_cells(shared, models, models, "shared errors"),
        caption="Of the images that at least one of two models misclassifies, the percentage that "
        "both misclassify. Models that share few errors gain most from ensembling.",
        corner="Model",
        finding=words.most_different(analysis),
        of_models="both",
    )
