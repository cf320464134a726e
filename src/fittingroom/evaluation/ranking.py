"""Which of many recipes can be told apart, and so which places each may have."""

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
    """Two models of a ranking: their difference, and its p adjusted for all pairs and looks.

    `undone` : it would be significant, had no table been shown before.
    """

    a: str
    b: str
    paired: PairedDifference
    p_adjusted: float | None
    undone: bool


@dataclass(frozen=True)
class Ranking:
    """The order of models, and what of it is certain.

    Attributes
    ----------
    order : names by mean accuracy
    ranks : of each the first and last place that it may have: 1 + the number of models that are
        significantly better, and the number of models minus those that are significantly worse
    indistinguishable_from : "can't be told apart" isn't transitive: two models of the same ranks
        may well differ
    winner : 95% interval of the first one's accuracy; None where `AccuracyEstimate` has none
    """

    order: tuple[str, ...]
    ranks: Mapping[str, tuple[int, int]]
    indistinguishable_from: Mapping[str, tuple[str, ...]]
    pairs: tuple[RankedPair, ...]
    accuracies: Mapping[str, AccuracyEstimate]
    winner: Interval | None


def adjusted(p: Sequence[float], models: int = 0) -> list[float]:
    """Adjust p values for having looked at all of them.

    Holm's steps (1979, Scandinavian Journal of Statistics 6:65-70). Where they are of all pairs
    among so many `models`, of which only models - 1 are independent, the bound of Tukey and Kramer
    (Hayter 1984, Annals of Statistics 12:61-75) takes the place of Bonferroni's while it is lower.
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
    """Order models by mean accuracy and say which ranks each may have (`adjusted`, 5%).

    `looks` are the tables that were shown before: by model, how many seeds it had. The seeds of a
    model of a later table are those of the earlier ones and more.
    """
    # By name, so that the order in which models were given leaves no trace in the result.
    recipes = dict(sorted(recipes.items()))
    spreads = spreads_of(recipes)
    couples = list(combinations(recipes, 2))
    compared = []
    for a, b in couples:
        seen = [(look[a], look[b]) for look in looks if a in look and b in look]
        compared.append(compare(recipes[a], spreads[a], recipes[b], spreads[b], seen))
    p_adjusted = _adjusted([each.p_looks for each in compared], len(recipes))
    p_at_first = _adjusted([each.p_first_look for each in compared], len(recipes))
    pairs = [
        RankedPair(a, b, each, p, first is not None and p is not None and first <= alpha < p)
        for (a, b), each, p, first in zip(couples, compared, p_adjusted, p_at_first, strict=True)
    ]
    beaten_by: dict[str, set[str]] = {name: set() for name in recipes}
    for pair in pairs:
        if pair.p_adjusted is not None and pair.p_adjusted <= alpha:
            a_is_better = pair.paired.difference > 0
            worse, better = (pair.b, pair.a) if a_is_better else (pair.a, pair.b)
            beaten_by[worse].add(better)
    return _ranking(recipes, spreads, pairs, beaten_by)


def _adjusted(p: Sequence[float | None], models: int) -> list[float | None]:
    """The same where some are unknown, and stay so."""
    known = iter(adjusted([each for each in p if each is not None], models))
    return [None if each is None else next(known) for each in p]


def _tukey(p: float, models: int) -> float:
    """P(the largest of all differences among so many equal models has a p value of at most `p`).

    The range of independent normal variables, which is what makes such differences most alike.
    """
    # scipy.stats.studentized_range.sf takes twice as long (131 µs) and differs in the last bits.
    if p == 0:
        return 0.0
    largest = -float(special.ndtri(p / 2)) * np.sqrt(2)
    x, below, density = _normal()
    inside = below - special.ndtr(x - largest)
    return max(p, float(1 - models * np.trapezoid(density * inside ** (models - 1), x)))


@cache
def _normal() -> tuple[NDArray[np.float64], ...]:
    """Values of a standard normal variable, the probability of less, and the density, (k,) each."""
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
    alike = {
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
        indistinguishable_from=alike,
        pairs=tuple(pairs),
        accuracies=accuracies_of(recipes, spreads),
        winner=_winner(order, alike, recipes, spreads),
    )


def _winner(
    order: Sequence[str],
    alike: Mapping[str, Sequence[str]],
    recipes: Mapping[str, Fits],
    spreads: Mapping[str, SeedSpread | None],
) -> Interval | None:
    """The accuracy of the best of several is flattered, since luck helped to make it the best.

    How much depends on how many it could have been. Its lower end holds for all of these at once,
    by Bonferroni's bound; the upper end, from which luck leads away, is that of any model.
    """
    if not order or (spread := spreads[order[0]]) is None:
        return None
    fits, tail = recipes[order[0]], (1 - CONFIDENCE) / 2
    low = accuracy_interval(fits, spread, tail / (1 + len(alike[order[0]]))).low
    return Interval(low, accuracy_interval(fits, spread, tail).high)
