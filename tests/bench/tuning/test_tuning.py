from __future__ import annotations

import dataclasses
import json
import shlex

import numpy as np
import pytest

from fittingroom.bench.tuning.tuning import Tuning, best_so_far
from fittingroom.cli.options import parse_settings


def test_the_command_has_the_settings(tuning: Tuning) -> None:
    odd = {"hidden": (64, 32), "augmentation": "none", "patience": None, "learning_rate": 1e-7}
    trial = dataclasses.replace(tuning.trials[4], settings=odd)
    typed = shlex.split(dataclasses.replace(tuning, trials=(trial,), seed=3).command)
    assert typed[:5] == ["fittingroom", "fit", "cnn-32", "--seed", "3"]
    settings = [
        text for flag, text in zip(typed[5::2], typed[6::2], strict=True) if flag == "--set"
    ]
    assert parse_settings(settings) == odd
    assert json.loads(tuning.recipe_json()) == {
        "schema_version": 1,
        "model": "cnn-32",
        "settings": tuning.trials[4].settings,
    }


def test_the_commands_have_model_data_and_runs(tuning: Tuning) -> None:
    """If models are searched, the best one is compared with the requested one."""
    trial = dataclasses.replace(tuning.trials[4], settings={"model": "cnn-32-64"})
    changed = dataclasses.replace(tuning, trials=(trial,), dataset="mnist", runs="my runs")
    assert changed.command == "fittingroom fit cnn-32-64 --dataset mnist --runs 'my runs'"
    file = f"{changed.study}.best.json"
    assert changed.comparison == (
        f"fittingroom compare --models cnn-32 --settings {file} --dataset mnist --runs 'my runs' "
        "--seeds 5"
    )


def test_the_first_of_equal_trials_is_best(tuning: Tuning) -> None:
    equal = [dataclasses.replace(trial, accuracy=0.9) for trial in tuning.trials[:3]]
    best = dataclasses.replace(tuning, trials=tuple(reversed(equal))).best
    assert best is not None
    assert best.number == 0


def test_a_search_is_complete_when_all_trials_have_ended(tuning: Tuning) -> None:
    assert tuning.complete
    assert not dataclasses.replace(tuning, n_trials=13).complete
    last = dataclasses.replace(tuning.trials[-1], status="waiting")
    assert not dataclasses.replace(tuning, trials=(*tuning.trials[:-1], last)).complete


def test_the_figures_are_json(tuning: Tuning) -> None:
    plain = json.loads(tuning.to_json())
    assert (plain["complete"], plain["best"]["trial"]) == (True, 4)
    assert plain["best"]["command"] == tuning.command
    assert tuning.overstatement is not None
    assert plain["overstatement"]["overstated"] == pytest.approx(0.008)
    assert plain["overstatement"]["ci95"] == [0.901, 0.924]
    assert plain["importance"] == {"learning_rate": 0.8, "schedule": 0.2}
    assert plain["test"]["accuracy"] == 0.909
    assert [trial["number"] for trial in plain["trials"]] == list(range(12))
    empty = dataclasses.replace(tuning, trials=(), overstatement=None, importance=None, test=None)
    plain = json.loads(empty.to_json())
    nothing = [plain[name] for name in ("best", "overstatement", "importance", "test")]
    assert nothing == [None] * 4


def test_the_trials_as_a_table(tuning: Tuning) -> None:
    waiting = dataclasses.replace(tuning.trials[0], number=12, settings=None)
    table = dataclasses.replace(tuning, trials=(*tuning.trials, waiting)).to_frame()
    assert len(table) == 13
    assert table.loc[4, "learning_rate"] == 0.003
    assert np.isnan(table.loc[12, "learning_rate"])


def test_the_best_so_far() -> None:
    best = best_so_far([None, 0.5, None, 0.4, 0.6])
    np.testing.assert_array_equal(best, [np.nan, 0.5, 0.5, 0.5, 0.6])
    assert len(best_so_far([])) == 0
