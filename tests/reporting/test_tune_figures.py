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


def across(line: Line2D) -> list[float]:
    return [*map(float, np.asarray(line.get_xdata()))]


def up(line: Line2D) -> list[float]:
    return [*map(float, np.asarray(line.get_ydata()))]


def test_the_history_shows_trials_the_best_and_those_without_a_figure(tuning: Tuning) -> None:
    dots, best, without = tune_figures.history(tuning).axes[0].lines
    accuracies = [t.accuracy for t in tuning.scored if t.accuracy is not None]
    assert len(accuracies) == 10
    np.testing.assert_allclose(up(dots)[:10], np.multiply(100, accuracies))
    assert np.isnan(up(dots)[10:]).all()
    np.testing.assert_allclose(up(best), np.maximum.accumulate([*up(dots)[:10], 0, 0]))
    assert across(without) == [10, 11]


def test_importances_stand_in_their_order(tuning: Tuning) -> None:
    axes = tune_figures.importances(tuning.importance or {}).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["learning_rate", "schedule"]
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert [bar.get_width() for bar in bars] == pytest.approx([80, 20])


def test_slices_show_each_setting_on_its_own_scale(tuning: Tuning) -> None:
    rates, schedules = (axes for axes in tune_figures.slices(tuning).axes if axes.get_visible())
    values, best = rates.lines
    rates_tried = [t.settings["learning_rate"] for t in tuning.scored if t.settings is not None]
    np.testing.assert_allclose(across(values), (np.log10(rates_tried) + 4) / 3)
    assert up(best) == [92.0]
    assert {*across(schedules.lines[0])} == {0.0, 1.0}
    assert [tick.get_text() for tick in schedules.get_xticklabels()] == ["constant", "cosine"]


def searched(tuning: Tuning, name: str, options: list[Any]) -> Tuning:
    """Nothing but these options, a trial each."""
    trials = [
        dataclasses.replace(tuning.trials[0], number=number, settings={name: option})
        for number, option in enumerate(options)
    ]
    space = Space(dimensions={name: Choice(tuple(options))})
    return dataclasses.replace(tuning, space=space, trials=tuple(trials))


def test_many_numbers_to_choose_from_stand_on_a_scale(tuning: Tuning) -> None:
    rates = preset_of("learning-rate").dimensions["learning_rate"].probes()
    found = searched(tuning, "learning_rate", rates)
    axes = tune_figures.slices(found).axes[0]
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels == ["0.001", "0.003", "0.01", "0.03"]
    expected = (np.log10(rates) + 3) / (np.log10(rates[-1]) + 3)
    np.testing.assert_allclose(across(axes.lines[0]), expected)
    texts = [text.get_text() for text in tune_figures.parallel_coordinates(found).axes[0].texts]
    assert texts[:4] == labels


def test_many_other_options_have_as_many_labels_as_there_is_room_for(tuning: Tuning) -> None:
    options = [(256, 256, 256, 256, number) for number in range(40)]  # alike but for their ends
    axes = tune_figures.slices(searched(tuning, "hidden", options)).axes[0]
    labels = axes.get_xticklabels()
    texts = [label.get_text() for label in labels]
    assert texts[0] == "(256, …256, 0)"
    assert [text.split()[-1] for text in texts] == [f"{n})" for n in range(0, 40, 3)]
    assert {label.get_rotation() for label in labels} == {90.0}
    np.testing.assert_allclose(axes.get_xticks(), np.arange(0, 40, 3) / 39)


def test_parallel_coordinates_end_at_the_accuracy(tuning: Tuning) -> None:
    axes = tune_figures.parallel_coordinates(tuning).axes[0]
    lines = [line for line in axes.lines if len(up(line)) == 3]
    assert len(lines) == 10
    heights = [up(line)[-1] for line in lines]
    assert heights == sorted(heights)  # the best is drawn last
    assert (heights[0], heights[-1]) == (0.0, 1.0)


def test_one_trial_is_enough_for_every_picture(tuning: Tuning) -> None:
    alone = dataclasses.replace(tuning, trials=tuning.trials[:1])
    for draw in (tune_figures.history, tune_figures.slices, tune_figures.parallel_coordinates):
        assert draw(alone).axes
