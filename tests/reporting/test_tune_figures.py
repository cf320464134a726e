from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from fittingroom.bench.tuning.presets import preset_of
from fittingroom.bench.tuning.space import Choice, Space
from fittingroom.bench.tuning.tuning import Tuning
from fittingroom.reporting import tune_figures


def x_of(line: Line2D) -> list[float]:
    return [*map(float, np.asarray(line.get_xdata()))]


def y_of(line: Line2D) -> list[float]:
    return [*map(float, np.asarray(line.get_ydata()))]


def test_history_shows_trials_the_best_and_failures(tuning: Tuning) -> None:
    dots, best, crosses = tune_figures.history(tuning).axes[0].lines
    accuracies = [t.accuracy for t in tuning.scored if t.accuracy is not None]
    assert len(accuracies) == 10
    np.testing.assert_allclose(y_of(dots)[:10], np.multiply(100, accuracies))
    assert np.isnan(y_of(dots)[10:]).all()
    np.testing.assert_allclose(y_of(best), np.maximum.accumulate([*y_of(dots)[:10], 0, 0]))
    assert x_of(crosses) == [10, 11]


def test_importances_keep_their_order(tuning: Tuning) -> None:
    axes = tune_figures.importances(tuning.importance or {}).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["learning_rate", "schedule"]
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert [bar.get_width() for bar in bars] == pytest.approx([80, 20])


def test_slices_show_each_setting_on_its_own_scale(tuning: Tuning) -> None:
    rates, schedules = (axes for axes in tune_figures.slices(tuning).axes if axes.get_visible())
    values, best = rates.lines
    rates_tried = [t.settings["learning_rate"] for t in tuning.scored if t.settings is not None]
    np.testing.assert_allclose(x_of(values), (np.log10(rates_tried) + 4) / 3)
    assert y_of(best) == [92.0]
    assert {*x_of(schedules.lines[0])} == {0.0, 1.0}
    assert [tick.get_text() for tick in schedules.get_xticklabels()] == ["constant", "cosine"]


def with_options(tuning: Tuning, name: str, options: list[Any]) -> Tuning:
    """The search with one trial per option."""
    trials = [
        dataclasses.replace(tuning.trials[0], number=number, settings={name: option})
        for number, option in enumerate(options)
    ]
    space = Space(dimensions={name: Choice(tuple(options))})
    return dataclasses.replace(tuning, space=space, trials=tuple(trials))


def test_many_numeric_options_are_drawn_on_a_continuous_axis(tuning: Tuning) -> None:
    rates = preset_of("learning-rate").dimensions["learning_rate"].probes()
    search = with_options(tuning, "learning_rate", rates)
    axes = tune_figures.slices(search).axes[0]
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels == ["0.001", "0.003", "0.01", "0.03"]
    expected = (np.log10(rates) + 3) / (np.log10(rates[-1]) + 3)
    np.testing.assert_allclose(x_of(axes.lines[0]), expected)
    texts = [text.get_text() for text in tune_figures.parallel_coordinates(search).axes[0].texts]
    assert texts[:4] == labels


def test_many_other_options_have_as_many_labels_as_fit(tuning: Tuning) -> None:
    options = [(256, 256, 256, 256, number) for number in range(40)]  # differ only at the end
    axes = tune_figures.slices(with_options(tuning, "hidden", options)).axes[0]
    labels = axes.get_xticklabels()
    texts = [label.get_text() for label in labels]
    assert texts[0] == "(256, …256, 0)"
    assert [text.split()[-1] for text in texts] == [f"{n})" for n in range(0, 40, 3)]
    assert {label.get_rotation() for label in labels} == {90.0}
    np.testing.assert_allclose(axes.get_xticks(), np.arange(0, 40, 3) / 39)


def test_parallel_coordinates_end_at_the_accuracy(tuning: Tuning) -> None:
    axes = tune_figures.parallel_coordinates(tuning).axes[0]
    lines = [line for line in axes.lines if len(y_of(line)) == 3]
    assert len(lines) == 10
    heights = [y_of(line)[-1] for line in lines]
    assert heights == sorted(heights)  # the best is drawn last
    assert (heights[0], heights[-1]) == (0.0, 1.0)


def test_one_trial_is_enough_for_every_figure(tuning: Tuning) -> None:
    alone = dataclasses.replace(tuning, trials=tuning.trials[:1])
    for draw in (tune_figures.history, tune_figures.slices, tune_figures.parallel_coordinates):
        assert draw(alone).axes
