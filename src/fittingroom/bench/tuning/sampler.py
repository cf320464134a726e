"""Samplers that know nothing but what the database says, so that any process may go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from fittingroom.errors import UnknownNameError


class Seeded(BaseSampler):
    """A sampler made anew for each trial, so that all it knows is in the database."""

    def __init__(self, make: Callable[[int], BaseSampler]) -> None:
        self._make, self._of_trial = make, make(0)
        self.position = 0

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        before = [
            other
            for other in study.get_trials(deepcopy=False)
            if other.number < first_number(trial)
            and not is_surplus(other)
            and "first" not in other.user_attrs
        ]
        self.position = len(before)
        self._of_trial = self._make(self.position)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._of_trial.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of_trial.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._of_trial.sample_independent(study, trial, param_name, param_distribution)


class _Point(BaseSampler):
    """One point of a grid."""

    def __init__(self, point: Mapping[str, Any]) -> None:
        self._point = point

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._point[param_name]


Points = Sequence[Mapping[str, Any]] | None


def _tpe(seed: int, points: Points, position: int) -> BaseSampler:
    return TPESampler(seed=seed)


def _random(seed: int, points: Points, position: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _grid(seed: int, points: Points, position: int) -> BaseSampler:
    assert points is not None
    return _Point(points[position % len(points)])  # one past the last is asked for, not fitted


#: Made for one trial from its seed, the grid's points and its place in the search.
SAMPLERS: dict[str, Callable[[int, Points, int], BaseSampler]] = {
    "tpe": _tpe,
    "random": _random,
    "grid": _grid,
}


def _seed(seed: int, position: int) -> int:
    """A seed of its own for each trial: two processes must not draw the same."""
    return int(np.random.SeedSequence([seed, position]).generate_state(1)[0])


def seeded(name: str, seed: int, points: Points) -> Seeded:
    """The sampler of that name; `points` are the grid's, where it is one.

    Raises
    ------
    UnknownNameError : there is none
    """
    if name not in SAMPLERS:
        raise UnknownNameError("sampler", name, SAMPLERS)
    make = SAMPLERS[name]
    return Seeded(lambda position: make(_seed(seed, position), points, position))


def first_number(trial: FrozenTrial) -> int:
    """The number of the first attempt at a trial."""
    return int(trial.user_attrs.get("first", trial.number))


def is_surplus(trial: FrozenTrial) -> bool:
    """Whether it was one more than was asked for, since two processes asked at once."""
    return bool(trial.user_attrs.get("surplus"))
