"""Ranking: which of many recipes can be told apart, and which ranks each may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fittingroom.errors import InputError
from fittingroom.evaluation.intervals import CONFIDENCE, Interval
from fittingroom.evaluation.paired_difference import PairedDifference, compare
from fittingroom.evaluation.recipe_fits import (
    AccuracyEstimate,
    Fits,
    accuracies_of,
    accuracy_interval,
    spreads_of,
)
from fittingroom.evaluation.seed_spread import SeedSpread

ALPHA = 0.05


@dataclass(frozen=True)
class RankedPair:
    """Two models of a ranking and their difference.

    Attributes
    ----------
    a, b : names
    paired : the difference, A minus B
    p_adjusted : its p, adjusted for all pairs and looks; None if it has none
    undone : whether earlier looks cost it its significance
    """

    a: str
    b: str
    paired: PairedDifference
    p_adjusted: float | None
    undone: bool


@dataclass(frozen=True)
class Ranking:
    """The order of models and how much of it is certain.

    Attributes
    ----------
    order : names by mean accuracy, highest first
    ranks : the first and last rank that each model may have: 1 + the number of models that are
        significantly better, and the number of models minus those that are significantly worse
    indistinguishable_from : the models that each can't be told apart from, in order. The relation
        isn't transitive: two models with the same ranks may well differ
    pairs : all pairs of models
    accuracies : by model
    winner : 95% interval of the first model's accuracy; None if its `AccuracyEstimate` has none
    """

    order: tuple[str, ...]
    ranks: Mapping[str, tuple[int, int]]
    indistinguishable_from: Mapping[str, tuple[str, ...]]
    pairs: tuple[RankedPair, ...]
    accuracies: Mapping[str, AccuracyEstimate]
    winner: Interval | None


def adjust_p_values(p: Sequence[float], models: int = 0) -> list[float]:
    """Adjust p values for multiple comparisons.

    By Holm's step-down method (1979, Scandinavian Journal of Statistics 6:65-70).

    Parameters
    ----------
    p : values in 0 … 1
    models : if `p` covers all pairs of this many models, the Tukey-Kramer bound (Hayter 1984,
        Annals of Statistics 12:61-75) replaces Bonferroni's at each step where it is lower

    Returns
    -------
    the adjusted values, in the same order

    Raises
    ------
    InputError : a value outside 0 … 1
    """
    values = np.asarray(p, dtype=np.float64)
    if not np.all((values >= 0) & (values <= 1)):
        raise InputError(f"p values must lie between 0 and 1, not {list(p)}.")
    order = np.argsort(values, kind="stable")
    bounds = values[order] * np.arange(len(values), 0, -1)
    if models:
        bounds = np.minimum(bounds, [_tukey(value, models) for value in values[order]])
    result = np.empty(len(values))
    result[order] = np.minimum(1.0, np.maximum.accumulate(bounds))
    return [float(value) for value in result]


def rank_models(
    recipes: Mapping[str, Fits], looks: Sequence[Mapping[str, int]] = (), alpha: float = ALPHA
) -> Ranking:
    """Order models by mean accuracy, and find the ranks that each may have.

    Parameters
    ----------
    recipes : the fits of each model, by name
    looks : the number of seeds per model, by name, in each table shown before; a later table has
        the seeds of the earlier ones and more
    alpha : family-wise error rate over all pairs

    Raises
    ------
    InputError : the recipes have different numbers of images
    """
    # Sorted, so that the result doesn't depend on the order of `recipes`.
    recipes = dict(sorted(recipes.items()))
    spreads = spreads_of(recipes)
    name_pairs = list(combinations(recipes, 2))
    differences = []
    for a, b in name_pairs:
        earlier_seeds = [(look[a], look[b]) for look in looks if a in look and b in look]
        difference = compare(recipes[a], spreads[a], recipes[b], spreads[b], earlier_seeds)
        differences.append(difference)
    p_adjusted = _adjust_known([paired.p_looks for paired in differences], len(recipes))
    p_at_first = _adjust_known([paired.p_first_look for paired in differences], len(recipes))
    pairs = [
        RankedPair(a, b, paired, p, first is not None and p is not None and first <= alpha < p)
        for (a, b), paired, p, first in zip(
            name_pairs, differences, p_adjusted, p_at_first, strict=True
        )
    ]
    beaten_by: dict[str, set[str]] = {name: set() for name in recipes}
    for pair in pairs:
        if pair.p_adjusted is not None and pair.p_adjusted <= alpha:
            a_is_better = pair.paired.difference > 0
            worse, better = (pair.b, pair.a) if a_is_better else (pair.a, pair.b)
            beaten_by[worse].add(better)
    return _ranking(recipes, spreads, pairs, beaten_by)


def _adjust_known(p: Sequence[float | None], models: int) -> list[float | None]:
    """As `adjust_p_values`; unknown values are left out and stay None."""
    adjusted_values = iter(adjust_p_values([value for value in p if value is not None], models))
    return [None if value is None else next(adjusted_values) for value in p]


def _tukey(p: float, models: int) -> float:
    """The probability that the smallest p over all pairs of equal models is at most `p`.

    It is that of the studentized range with infinite degrees of freedom (Tukey's test): the models'
    errors are assumed to be independent and normal. `models` is at least 2.
    """
    # scipy.stats.studentized_range.sf takes twice as long (131 µs) and differs in the last bits.
    if p == 0:
        return 0.0
    largest = -float(special.ndtri(p / 2)) * np.sqrt(2)
    x, below, density = _normal_grid()
    inside = below - special.ndtr(x - largest)
    return max(p, float(1 - models * np.trapezoid(density * inside ** (models - 1), x)))


@cache
def _normal_grid() -> tuple[NDArray[np.float64], ...]:
    """A grid over a standard normal variable, its distribution function and density, each (k,)."""
    x = np.linspace(-8.0, 8.0, 2001)
    return x, special.ndtr(x), np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def _ranking(
    recipes: Mapping[str, Fits],
    spreads: Mapping[str, SeedSpread | None],
    pairs: Sequence[RankedPair],
    beaten_by: Mapping[str, set[str]],
) -> Ranking:
    order = sorted(recipes, key=lambda name: (-recipes[name].accuracy, name))
    ranks = {
        name: (
            1 + len(beaten_by[name]),
            len(order) - sum(name in better for better in beaten_by.values()),
        )
        for name in order
    }
    indistinguishable = {
        name: tuple(
            other
            for other in order
            if other != name and other not in beaten_by[name] and name not in beaten_by[other]
        )
        for name in order
    }
    return Ranking(
        order=tuple(order),
        ranks=ranks,
        indistinguishable_from=indistinguishable,
        pairs=tuple(pairs),
        accuracies=accuracies_of(recipes, spreads),
        winner=_winner_interval(order, indistinguishable, recipes, spreads),
    )


def _winner_interval(
    order: Sequence[str],
    indistinguishable: Mapping[str, Sequence[str]],
    recipes: Mapping[str, Fits],
    spreads: Mapping[str, SeedSpread | None],
) -> Interval | None:
    """The interval of the best model's accuracy, with allowance for the winner's curse.

    Selecting a model by its accuracy biases the accuracy upwards: the more so, the more models
    could have been the best. So the lower end holds for all of these at once, by Bonferroni's
    bound. The upper end is that of any model.
    """
    if not order or (spread := spreads[order[0]]) is None:
        return None
    fits, tail = recipes[order[0]], (1 - CONFIDENCE) / 2
    low = accuracy_interval(fits, spread, tail / (1 + len(indistinguishable[order[0]]))).low
    return Interval(low, accuracy_interval(fits, spread, tail).high)
