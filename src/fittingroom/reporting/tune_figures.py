"""Plots of a hyperparameter search, as matplotlib figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fittingroom.bench.tuning.space import Choice, Dimension, Range
from fittingroom.bench.tuning.tuning import best_so_far
from fittingroom.formatting import shorten
from fittingroom.models.settings import text_of
from fittingroom.reporting.style import (
    BLUE,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    STYLE,
    WIDTH,
    label_rows,
    log_ticks,
)

if TYPE_CHECKING:
    from fittingroom.bench.tuning.tuning import Trial, Tuning
    from fittingroom.training.rate_range import RateRange

_COLUMNS = 3
#: More numeric options than this are drawn on a continuous axis; up to this many, each has a label.
_FEW = 6
#: How many characters of horizontal labels fit side by side, and how many vertical labels.
_CHARACTERS, _LABELS = 90, 16


def history(tuning: Tuning) -> Figure:
    """Accuracy by trial, the best so far as a line; crosses mark trials without a result."""
    accuracies = [trial.accuracy for trial in tuning.trials]
    numbers = np.array([trial.number for trial in tuning.trials])
    no_result = np.array([trial.ended and trial.status != "ok" for trial in tuning.trials], bool)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        values = 100 * np.array([np.nan if a is None else a for a in accuracies], float)
        axes.plot(numbers, values, "o", color=MUTED, markersize=5, alpha=0.7, label="trial")
        axes.step(
            numbers, 100 * best_so_far(accuracies), where="post", color=BLUE, linewidth=1.8,
            label="best so far",
        )  # fmt: skip
        if no_result.any():
            axes.plot(
                numbers[no_result], np.full(no_result.sum(), 0.02), "x", color=ORANGE, markersize=6,
                transform=axes.get_xaxis_transform(), label="pruned or failed", clip_on=False,
            )  # fmt: skip
        axes.set_xlabel("trial")
        axes.set_ylabel("accuracy, %")
        axes.locator_params(axis="x", integer=True)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        figure.legend(frameon=False, labelcolor=INK, loc="outside upper left", ncols=3)
    return figure


def importances(shares: Mapping[str, float]) -> Figure:
    """Each setting's share of the variance of accuracy, in the given order."""
    names, values = list(shares), 100 * np.array(list(shares.values()))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.9 + 0.36 * len(names)), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(names)), values, 0.62, color=BLUE)
        for y, value in enumerate(values):
            axes.annotate(
                f"{value:.0f}", (value, y), (5, 0), textcoords="offset points", va="center",
                fontsize=10,
            )  # fmt: skip
        label_rows(axes, names, 30)
        axes.margins(x=0.09)
        axes.set_xlabel("share of the variance of accuracy, %")
    return figure


def slices(tuning: Tuning) -> Figure:
    """Accuracy against each setting, one panel per setting; the best trial is blue."""
    scored, best, names = tuning.scored, tuning.best, list(tuning.space.dimensions)
    assert best is not None
    rows = -(-len(names) // _COLUMNS)
    columns = min(len(names), _COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.6 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            positions, ticks = _positions(tuning, name, [_setting(trial, name) for trial in scored])
            values = [100 * (trial.accuracy or 0) for trial in scored]
            axes.plot(positions, values, "o", color=MUTED, markersize=4.5, alpha=0.6)
            i = [trial.number for trial in scored].index(best.number)
            axes.plot(positions[i], values[i], "o", color=BLUE, markersize=7.5)
            axes.set_xlim(-0.08, 1.08)
            axes.set_xticks([x for _, x in ticks], [text for text, _ in ticks], fontsize=9)
            if columns * sum(len(text) + 2 for text, _ in ticks) > _CHARACTERS:
                axes.tick_params(axis="x", labelrotation=90)
            axes.set_xlabel(shorten([name], 24)[0])
            axes.grid(axis="y")
            axes.set_axisbelow(True)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        for row in range(rows):
            panels[row * columns].set_ylabel("accuracy, %")
    return figure


def parallel_coordinates(tuning: Tuning) -> Figure:
    """Every trial as a line through its settings to its accuracy; darker is better."""
    scored, best, names = tuning.scored, tuning.best, list(tuning.space.dimensions)
    assert best is not None
    accuracies = np.array([trial.accuracy for trial in scored], float)
    low, high = float(accuracies.min()), float(accuracies.max())
    width = max(high - low, 1e-9)
    axis_of = [_positions(tuning, name, [_setting(t, name) for t in scored]) for name in names]
    accuracy_ticks = [
        (f"{100 * value:.1f}", (value - low) / width) for value in np.linspace(low, high, 4)
    ]
    lines = np.column_stack([*(positions for positions, _ in axis_of), (accuracies - low) / width])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = figure.subplots()
        order = np.argsort(accuracies, kind="stable")  # the best are drawn over the others
        for i in order:
            is_best = scored[i].number == best.number
            axes.plot(
                lines[i], color=BLUE if is_best else MUTED, linewidth=2.4 if is_best else 1.1,
                alpha=1.0 if is_best else 0.12 + 0.6 * lines[i, -1] ** 2,
            )  # fmt: skip
        for x, ticks in enumerate([*(ticks for _, ticks in axis_of), accuracy_ticks]):
            axes.axvline(x, color=GRID, linewidth=1)
            for text, y in ticks:
                axes.annotate(
                    text, (x, y), (4, 0), textcoords="offset points", va="center", fontsize=8.5,
                    color=INK, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
                )  # fmt: skip
        axes.set_xticks(range(len(names) + 1), shorten([*names, "accuracy, %"], 16), fontsize=9)
        axes.set_xlim(-0.1, len(names) + 0.45)
        axes.set_ylim(-0.06, 1.06)
        axes.set_yticks([])
    return figure


def loss_by_rate(rates: RateRange) -> Figure:
    """Training loss by learning rate, per step and smoothed; lines at lowest and suggested."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
        axes = figure.subplots()
        axes.plot(
            rates.rates, rates.losses, color=MUTED, linewidth=0.9, alpha=0.5, label="per step"
        )
        axes.plot(rates.rates, rates.smoothed, color=BLUE, linewidth=2, label="smoothed")
        for rate, color, text in (
            (rates.lowest, MUTED, "lowest"),
            (rates.suggested, ORANGE, f"suggested: {rates.suggested:g}"),
        ):
            axes.axvline(rate, color=color, linewidth=1.2, linestyle=":")
            axes.annotate(
                text, (rate, 1), (0, 4), textcoords="offset points", ha="center", va="bottom",
                xycoords=("data", "axes fraction"), fontsize=9, color=MUTED,
            )  # fmt: skip
        axes.set_xscale("log")
        ticks = log_ticks(*axes.get_xlim())
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_ylim(0, 1.25 * float(rates.smoothed[: max(2, len(rates.rates) // 4)].max()))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        axes.grid()
        axes.set_axisbelow(True)
        axes.legend(frameon=False, labelcolor=INK, loc="lower left")
    return figure


def _setting(trial: Trial, name: str) -> Any:
    return (trial.settings or {})[name]


def _positions(
    tuning: Tuning, name: str, values: Sequence[Any]
) -> tuple[NDArray[np.float64], list[tuple[str, float]]]:
    """Positions of values on a setting's axis, between 0 and 1, and the axis's labelled ticks."""
    dimension = _as_range(tuning.space.dimensions[name])
    if isinstance(dimension, Choice):
        texts = dimension.texts
        position_of = {text: i / max(len(texts) - 1, 1) for i, text in enumerate(texts)}
        positions = np.array([position_of[text_of(value)] for value in values])
        ticks = list(zip(shorten(texts, 14), position_of.values(), strict=True))
        return positions, ticks[:: math.ceil(len(ticks) / _LABELS)]
    low, high, numbers = float(dimension.low), float(dimension.high), np.array(values, float)
    ticks_at = np.array(_round_numbers(dimension))
    labels = [f"{number:g}" for number in ticks_at]
    if dimension.log:
        low, high = np.log10(low), np.log10(high)
        numbers, ticks_at = np.log10(numbers), np.log10(ticks_at)
    ticks_at = (ticks_at - low) / (high - low)
    return (numbers - low) / (high - low), list(zip(labels, ticks_at.tolist(), strict=True))


def _as_range(dimension: Dimension) -> Dimension:
    """The range that many numeric options span; any other dimension unchanged."""
    if isinstance(dimension, Range) or len(dimension.options) <= _FEW:
        return dimension
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in dimension.options):
        return dimension
    low, high = min(dimension.options), max(dimension.options)
    return Range(low=low, high=high, log=low > 0 and high >= 10 * low)


def _round_numbers(dimension: Range) -> list[float]:
    """A few round numbers within the range, for ticks."""
    low, high = float(dimension.low), float(dimension.high)
    if dimension.log:
        return log_ticks(low, high)
    ticks = MaxNLocator(4, integer=dimension.whole).tick_values(low, high)
    return [float(number) for number in ticks if low <= number <= high]
