"""Samplers whose only state is the database, so that any process can resume a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from fittingroom.errors import UnknownNameError


class SeededSampler(BaseSampler):
    """A sampler that is made anew for each trial, so that all its state is in the database."""

    def __init__(self, make: Callable[[int], BaseSampler]) -> None:
        self._make, self._sampler = make, make(0)
        self.position = 0

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        earlier = [
            other
            for other in study.get_trials(deepcopy=False)
            if other.number < first_number(trial)
            and not is_surplus(other)
            and "first" not in other.user_attrs
        ]
        self.position = len(earlier)
        self._sampler = self._make(self.position)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


class _Point(BaseSampler):
    """Suggests one point of a grid."""

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
    return _Point(points[position % len(points)])  # a surplus trial past the last one isn't fitted


#: Make a sampler from a trial's seed, the grid's points and the trial's position in the search.
SAMPLERS: dict[str, Callable[[int, Points, int], BaseSampler]] = {
    "tpe": _tpe,
    "random": _random,
    "grid": _grid,
}


def _trial_seed(seed: int, position: int) -> int:
    """A seed for each trial, so that no two processes draw the same values."""
    return int(np.random.SeedSequence([seed, position]).generate_state(1)[0])


def seeded_sampler(name: str, seed: int, points: Points) -> SeededSampler:
    """The sampler of that name; only `grid` needs `points`.

    Raises
    ------
    UnknownNameError : the sampler is unknown
    """
    if name not in SAMPLERS:
        raise UnknownNameError("sampler", name, SAMPLERS)
    make = SAMPLERS[name]
    return SeededSampler(lambda position: make(_trial_seed(seed, position), points, position))


def first_number(trial: FrozenTrial) -> int:
    """The number of a trial's first attempt."""
    return int(trial.user_attrs.get("first", trial.number))


def is_surplus(trial: FrozenTrial) -> bool:
    """Whether it was one too many, because two processes asked at the same time."""
    return bool(trial.user_attrs.get("surplus"))
