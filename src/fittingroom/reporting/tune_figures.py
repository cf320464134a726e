"""The pictures of a search for settings, as matplotlib figures."""

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
from fittingroom.formatting import shortened
from fittingroom.models.settings import text_of
from fittingroom.reporting.style import (
    GRID,
    INK,
    MUTED,
    PAPER,
    RIGHT,
    STYLE,
    WRONG,
    log_ticks,
    one_below_another,
)

if TYPE_CHECKING:
    from fittingroom.bench.tuning.tuning import Trial, Tuning
    from fittingroom.training.rate_range import RateRange

_COLUMNS = 3
#: More numbers to choose from stand on a scale of their own; fewer have a label each.
_FEW = 6
#: How many characters of labels have room beside each other, and how many labels on their side.
_CHARACTERS, _LABELS = 90, 16


def history(tuning: Tuning) -> Figure:
    """Accuracy by trial, the best so far as a line; trials without a figure stand at the foot."""
    accuracies = [trial.accuracy for trial in tuning.trials]
    numbers = np.array([trial.number for trial in tuning.trials])
    without = np.array([trial.over and trial.status != "ok" for trial in tuning.trials], bool)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        axes = figure.subplots()
        values = 100 * np.array([np.nan if a is None else a for a in accuracies], float)
        axes.plot(numbers, values, "o", color=MUTED, markersize=5, alpha=0.7, label="trial")
        axes.step(
            numbers, 100 * best_so_far(accuracies), where="post", color=RIGHT, linewidth=1.8,
            label="best so far",
        )  # fmt: skip
        if without.any():
            axes.plot(
                numbers[without], np.full(without.sum(), 0.02), "x", color=WRONG, markersize=6,
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
    """How much of the accuracies' variance is each setting's, the largest on top."""
    names, values = list(shares), 100 * np.array(list(shares.values()))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 0.9 + 0.36 * len(names)), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(names)), values, 0.62, color=RIGHT)
        for y, value in enumerate(values):
            axes.annotate(
                f"{value:.0f}", (value, y), (5, 0), textcoords="offset points", va="center",
                fontsize=10,
            )  # fmt: skip
        one_below_another(axes, names, 30)
        axes.margins(x=0.09)
        axes.set_xlabel("share of the variance of accuracy, %")
    return figure


def slices(tuning: Tuning) -> Figure:
    """Accuracy against each setting, one panel a setting; the best trial is blue."""
    scored, best, names = tuning.scored, tuning.best, list(tuning.space.dimensions)
    assert best is not None
    rows = -(-len(names) // _COLUMNS)
    columns = min(len(names), _COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 2.6 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, names, strict=False):
            places, ticks = _places(tuning, name, [_setting(trial, name) for trial in scored])
            values = [100 * (trial.accuracy or 0) for trial in scored]
            axes.plot(places, values, "o", color=MUTED, markersize=4.5, alpha=0.6)
            at = [trial.number for trial in scored].index(best.number)
            axes.plot(places[at], values[at], "o", color=RIGHT, markersize=7.5)
            axes.set_xlim(-0.08, 1.08)
            axes.set_xticks([x for _, x in ticks], [text for text, _ in ticks], fontsize=9)
            if columns * sum(len(text) + 2 for text, _ in ticks) > _CHARACTERS:
                axes.tick_params(axis="x", labelrotation=90)
            axes.set_xlabel(shortened([name], 24)[0])
            axes.grid(axis="y")
            axes.set_axisbelow(True)
        for axes in panels[len(names) :]:
            axes.set_visible(False)
        for row in range(rows):
            panels[row * columns].set_ylabel("accuracy, %")
    return figure


def parallel_coordinates(tuning: Tuning) -> Figure:
    """Every trial as a line through its settings to its accuracy; the deeper, the better."""
    scored, best, names = tuning.scored, tuning.best, list(tuning.space.dimensions)
    assert best is not None
    accuracies = np.array([trial.accuracy for trial in scored], float)
    low, high = float(accuracies.min()), float(accuracies.max())
    width = max(high - low, 1e-9)
    found = [_places(tuning, name, [_setting(t, name) for t in scored]) for name in names]
    at = [(f"{100 * value:.1f}", (value - low) / width) for value in np.linspace(low, high, 4)]
    lines = np.column_stack([*(places for places, _ in found), (accuracies - low) / width])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        axes = figure.subplots()
        order = np.argsort(accuracies, kind="stable")  # the best are drawn over the others
        for place in order:
            is_best = scored[place].number == best.number
            axes.plot(
                lines[place], color=RIGHT if is_best else MUTED, linewidth=2.4 if is_best else 1.1,
                alpha=1.0 if is_best else 0.12 + 0.6 * lines[place, -1] ** 2,
            )  # fmt: skip
        for x, ticks in enumerate([*(ticks for _, ticks in found), at]):
            axes.axvline(x, color=GRID, linewidth=1)
            for text, y in ticks:
                axes.annotate(
                    text, (x, y), (4, 0), textcoords="offset points", va="center", fontsize=8.5,
                    color=INK, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
                )  # fmt: skip
        axes.set_xticks(range(len(names) + 1), shortened([*names, "accuracy, %"], 16), fontsize=9)
        axes.set_xlim(-0.1, len(names) + 0.45)
        axes.set_ylim(-0.06, 1.06)
        axes.set_yticks([])
    return figure


def loss_by_rate(rates: RateRange) -> Figure:
    """Training loss while the rate rises: of each step, and smoothed; lines at two rates."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 3.8), layout="constrained")
        axes = figure.subplots()
        axes.plot(
            rates.rates, rates.losses, color=MUTED, linewidth=0.9, alpha=0.5, label="per step"
        )
        axes.plot(rates.rates, rates.smoothed, color=RIGHT, linewidth=2, label="smoothed")
        for rate, color, text in (
            (rates.lowest, MUTED, "lowest"),
            (rates.suggested, WRONG, f"suggested: {rates.suggested:g}"),
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


def _places(
    tuning: Tuning, name: str, values: Sequence[Any]
) -> tuple[NDArray[np.float64], list[tuple[str, float]]]:
    """Where values stand between 0 and 1 on a setting's axis, and the axis's labels."""
    dimension = _on_a_scale(tuning.space.dimensions[name])
    if isinstance(dimension, Choice):
        texts = dimension.texts
        spread = {text: i / max(len(texts) - 1, 1) for i, text in enumerate(texts)}
        places = np.array([spread[text_of(value)] for value in values])
        ticks = list(zip(shortened(texts, 14), spread.values(), strict=True))
        return places, ticks[:: math.ceil(len(ticks) / _LABELS)]
    low, high, numbers = float(dimension.low), float(dimension.high), np.array(values, float)
    shown = np.array(_round_numbers(dimension))
    labels = [f"{number:g}" for number in shown]
    if dimension.log:
        low, high = np.log10(low), np.log10(high)
        numbers, shown = np.log10(numbers), np.log10(shown)
    places = (shown - low) / (high - low)
    return (numbers - low) / (high - low), list(zip(labels, places.tolist(), strict=True))


def _on_a_scale(dimension: Dimension) -> Dimension:
    """The range that many numbers to choose from span; anything else as it is."""
    if isinstance(dimension, Range) or len(dimension.options) <= _FEW:
        return dimension
    if not all(isinstance(n, int | float) and not isinstance(n, bool) for n in dimension.options):
        return dimension
    low, high = min(dimension.options), max(dimension.options)
    return Range(low=low, high=high, log=low > 0 and high >= 10 * low)


def _round_numbers(dimension: Range) -> list[float]:
    """A few numbers that are easy to read, within the range."""
    low, high = float(dimension.low), float(dimension.high)
    if dimension.log:
        return log_ticks(low, high)
    found = MaxNLocator(4, integer=dimension.whole).tick_values(low, high)
    return [float(number) for number in found if low <= number <= high]
