"""Alpha spending: how much of the 5% another look at a pair, with more seeds, may still use.

Adding seeds until a difference is significant finds one in 20% of the cases where there is none. So
each look at a pair may use only the share of alpha that earlier looks left (Lan and DeMets 1983,
Biometrika 70:659-663). With S seeds of each recipe, 1 - 1 / (2 S) of alpha is spent, whatever the
earlier looks were: most of it is available to the first look, and some always remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

#: The values of alpha that `sequential_p` interpolates between.
_ALPHAS = np.geomspace(1e-9, 1.0, 28)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


@dataclass(frozen=True)
class Look:
    """A look at a pair of recipes: what was known about it at the time.

    Attributes
    ----------
    seeds : the number of seeds of each recipe; infinite for a deterministic one
    variance : the variance of the difference between their accuracies
    """

    seeds: tuple[float, float]
    variance: float

    @property
    def alpha_spent(self) -> float:
        """The share of alpha spent after this look."""
        return 1 - sum(1 / seeds for seeds in self.seeds) / 4


def level(looks: Sequence[Look], alpha: float) -> float:
    """The largest p at which the last look may call the pair different.

    With it, the probability that any look, past or future, calls a pair different by chance is at
    most `alpha`. That looks before the last two may already have done so is ignored, which makes
    the probability smaller rather than larger.
    """
    return float(_levels(looks, np.array([alpha]))[0])


def sequential_p(p: float, looks: Sequence[Look]) -> float:
    """The smallest alpha at which the last look calls a pair with this p different."""
    if len(looks) == 1 or p in (0.0, 1.0):
        return min(1.0, p / looks[-1].alpha_spent) if p < 1 else 1.0
    levels = np.maximum(_levels(looks, _ALPHAS), 1e-300)
    if p >= levels[-1]:
        return 1.0
    if p <= levels[0]:  # below the table: proportional
        return float(p * _ALPHAS[0] / levels[0])
    return float(np.exp(np.interp(np.log(p), np.log(levels), np.log(_ALPHAS))))


def _levels(looks: Sequence[Look], alpha: Floats) -> Floats:
    """The level of the last look for each alpha, both (k,)."""
    levels = alpha * looks[0].alpha_spent
    for before, last in pairwise(looks):
        more = alpha * (last.alpha_spent - before.alpha_spent)
        correlation = np.sqrt(min(1.0, last.variance / before.variance)) if before.variance else 1.0
        levels = _next_levels(levels, more, float(correlation))
    return levels


def _next_levels(before: Floats, more: Floats, correlation: float) -> Floats:
    """The levels (k,) of the look that follows one at the levels `before`, (k,).

    At these levels, the second look alone calls a pair different by chance with probability `more`,
    (k,). Both differences are normal, with this correlation.
    """
    other = np.sqrt(1 - correlation**2)
    if other < 1e-6:  # the second look sees the same difference
        return before + more
    edge = -special.ndtri(before / 2)[:, None]  # (k, 1)
    x = edge * _NODES  # (k, nodes), where the first look found no difference
    density = edge * _WEIGHTS * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    low, high = np.zeros(len(more)), -special.ndtri(more / 2)  # enough without a first look
    for _ in range(50):
        middle = (low + high) / 2
        errors = 2 * (density * special.ndtr((correlation * x - middle[:, None]) / other)).sum(1)
        too_many = errors > more
        low, high = np.where(too_many, middle, low), np.where(too_many, high, middle)
    levels: Floats = 2 * special.ndtr(-high)
    return levels
