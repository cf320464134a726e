"""Samplers with studies in memory."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from fittingroom.bench.tuning.sampler import seeded_sampler

SPACE = {"x": FloatDistribution(0.001, 1, log=True), "k": CategoricalDistribution(["a", "b", "c"])}
GRID = [{"x": 0.01, "k": "b"}, {"x": 0.1, "k": "a"}, {"x": 1.0, "k": "c"}]


def study_of(sampler: str, points: Any = None) -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=seeded_sampler(sampler, 0, points))


def tried(study: optuna.Study, trials: int) -> list[dict[str, Any]]:
    """Finish so many trials more; the parameters of these."""
    params = []
    for _ in range(trials):
        trial = study.ask(SPACE)
        study.tell(trial, trial.params["x"])
        params.append(trial.params)
    return params


def test_attempts_that_are_no_trials_of_their_own_change_no_later_trial() -> None:
    expected = tried(study_of("random"), 5)
    study = study_of("random")
    tried(study, 3)
    study.enqueue_trial(expected[1], user_attrs={"first": 1})  # as after an interruption
    assert tried(study, 1) == [expected[1]]
    surplus = study.ask(SPACE)
    surplus.set_user_attr("surplus", True)
    study.tell(surplus, state=TrialState.FAIL)
    assert surplus.params == expected[3]
    assert tried(study, 2) == expected[3:]


def test_a_grid_is_walked_in_its_order() -> None:
    assert tried(study_of("grid", points=GRID), 4) == [*GRID, GRID[0]]


def test_tpe_prefers_good_regions() -> None:
    values = [params["x"] for params in tried(study_of("tpe"), 25)]
    assert sum(values[15:]) > 2 * sum(values[:10])
