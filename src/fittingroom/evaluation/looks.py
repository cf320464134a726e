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

#: Levels between which others are interpolated.
_LEVELS = np.geomspace(1e-9, 1.0, 28)
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
    found = alpha * looks[0].used_up
    for before, last in pairwise(looks):
        more = alpha * (last.used_up - before.used_up)
        correlation = np.sqrt(min(1.0, last.variance / before.variance)) if before.variance else 1.0
        found = _next_level(found, more, float(correlation))
    return found


def sequential_p(p: float, looks: Sequence[Look]) -> float:
    """The smallest alpha at which the last look calls a pair different whose p it is."""
    if len(looks) == 1 or p in (0.0, 1.0):
        return min(1.0, p / looks[-1].used_up) if p < 1 else 1.0
    levels = [max(level(looks, alpha), 1e-300) for alpha in _LEVELS]
    if p >= levels[-1]:
        return 1.0
    if p <= levels[0]:  # as far below
        return float(p * _LEVELS[0] / levels[0])
    return float(np.exp(np.interp(np.log(p), np.log(levels), np.log(_LEVELS))))


def _next_level(before: float, more: float, correlation: float) -> float:
    """The level of a look that adds `more` to what a look at the level `before` finds by chance.

    Both are normal with that correlation.
    """
    if more <= 0:
        return 0.0 if correlation < 1 else before
    edge = -float(special.ndtri(before / 2))
    other = np.sqrt(1 - correlation**2)
    if other < 1e-6:  # the same once more
        return before + more
    x = edge * _NODES  # where the look before found nothing
    density = edge * _WEIGHTS * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)

    def found(far: float) -> float:
        return float(2 * density @ special.ndtr((correlation * x - far) / other))

    low, high = 0.0, -float(special.ndtri(more / 2))  # alone it would need no more than that
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if found(middle) > more else (low, middle)
    return float(2 * special.ndtr(-high))
