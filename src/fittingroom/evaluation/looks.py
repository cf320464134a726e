"""Looking more than once: how much of the 5% a look at more seeds may still use.

Who adds seeds until a difference is significant finds one in 20% of the cases where there is none.
So each look at a pair may only use what earlier ones left (Lan and DeMets 1983, Biometrika
70:659-663). With S seeds of each recipe 1 - 1 / (2 S) of alpha is used up, whatever was looked at
before: most of it is there for the first look, and something always remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

#: Shares of error between which others are interpolated.
_ALPHAS = np.geomspace(1e-9, 1.0, 28)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


@dataclass(frozen=True)
class Look:
    """What one look at a pair went by.

    Attributes
    ----------
    seeds : of each of the two recipes; infinite for a deterministic one
    variance : of the difference
    """

    seeds: tuple[float, float]
    variance: float

    @property
    def used_up(self) -> float:
        """Share of alpha, this look included."""
        return 1 - sum(1 / seeds for seeds in self.seeds) / 4


def level(looks: Sequence[Look], alpha: float) -> float:
    """The p up to which the last of the looks may call the pair different.

    So that the probability that any of the looks, or of those to come, does so by chance is at most
    `alpha`. Of the looks before the last two it is left out that they may have done so already,
    which makes it less rather than more.
    """
    return float(_levels(looks, np.array([alpha]))[0])


def sequential_p(p: float, looks: Sequence[Look]) -> float:
    """The smallest alpha at which the last look calls a pair different whose p it is."""
    if len(looks) == 1 or p in (0.0, 1.0):
        return min(1.0, p / looks[-1].used_up) if p < 1 else 1.0
    levels = np.maximum(_levels(looks, _ALPHAS), 1e-300)
    if p >= levels[-1]:
        return 1.0
    if p <= levels[0]:  # as far below
        return float(p * _ALPHAS[0] / levels[0])
    return float(np.exp(np.interp(np.log(p), np.log(levels), np.log(_ALPHAS))))


def _levels(looks: Sequence[Look], alpha: Floats) -> Floats:
    """The levels of the last look at each alpha."""
    found = alpha * looks[0].used_up
    for before, last in pairwise(looks):
        more = alpha * (last.used_up - before.used_up)
        correlation = np.sqrt(min(1.0, last.variance / before.variance)) if before.variance else 1.0
        found = _next_levels(found, more, float(correlation))
    return found


def _next_levels(before: Floats, more: Floats, correlation: float) -> Floats:
    """Levels of a look that adds `more` to what a look at the levels `before` finds by chance.

    Both are normal with that correlation. Takes and gives (k,).
    """
    other = np.sqrt(1 - correlation**2)
    if other < 1e-6:  # the same once more
        return before + more
    edge = -special.ndtri(before / 2)[:, None]  # (k, 1)
    x = edge * _NODES  # (k, nodes), where the look before found nothing
    density = edge * _WEIGHTS * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    low, high = np.zeros(len(more)), -special.ndtri(more / 2)  # alone it would need no more
    for _ in range(50):
        middle = (low + high) / 2
        found = 2 * (density * special.ndtr((correlation * x - middle[:, None]) / other)).sum(1)
        too_much = found > more
        low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
    levels: Floats = 2 * special.ndtr(-high)
    return levels
