"""How much a recipe's accuracy changes from seed to seed, by all that the models of a table say.

A few seeds tell little of the spread over seeds: of two fits the estimate is ten times too small
in one case of twelve. But recipes are alike, so what all of them show together says where the
spread of each one is likely to lie. Smyth (2004, Statistical Applications in Genetics and Molecular
Biology, volume 3, article 3) shrinks variances that way; here the prior of the spread's logarithm
is normal, and its own parameters are integrated out, so that a table of few or of unlike recipes
shrinks little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fittingroom.evaluation.correctness import seed_variance

Floats = NDArray[np.float64]

#: What was measured beforehand counts as no more degrees of freedom: a fit here and there is worse
#: than a normal distribution has it, and another machine isn't the same.
_MEASURED_DEGREES = 5
#: Degrees of freedom of the Student's t that single fits follow.
_OUTLYING_DEGREES = 7
#: Standard deviations over seeds that are thought possible, of an accuracy in 0..1.
_SPREADS = np.geomspace(1e-5, 0.5, 120)
#: Standard deviations of the logarithm of the spread over recipes that are thought possible.
_UNLIKENESS = np.array([0.1, *np.geomspace(0.15, 4.0, 13)])
#: Scale of the half-Cauchy prior of that (Gelman 2006, Bayesian Analysis 1:515-534).
_UNLIKENESS_SCALE = 0.5
#: How soon others are believed to say all of a recipe's spread: see `_wide_share`.
_STRAY = 1.0
#: How much two recipes alone are believed to say of each other.
_PAIR = 1 / 6
#: The spread isn't less than the noise of single images makes it, up to the noise's own error.
_OF_NOISE = 0.95


@dataclass(frozen=True)
class SeedVariance:
    """What fits of one recipe say of its variance over seeds.

    Attributes
    ----------
    variance : unbiased, of the accuracy on the test images
    degrees_of_freedom : seeds - 1; with 0 nothing is known
    noise : the part of `variance` by which single images change sides independently
    """

    variance: float
    degrees_of_freedom: int
    noise: float

    @classmethod
    def of(cls, correct: NDArray[np.bool_]) -> SeedVariance:
        """What bool (seeds, n) says: which images each fit has right."""
        seeds, n = correct.shape
        if seeds == 1:
            return cls(0.0, 0, 0.0)
        right = correct.sum(axis=0, dtype=np.int64)  # (n,) of how many seeds
        disagreement = int(right @ (seeds - right)) / (seeds * (seeds - 1))
        return cls(seed_variance(correct), seeds - 1, disagreement / n**2)

    def measured(self, own: int = 1) -> SeedVariance:
        """The same as knowledge of other fits, which may have outliers that these haven't.

        `own` are those others. They may be among these, with the same seeds on an equal machine,
        and no fit counts twice.
        """
        besides = max(self.degrees_of_freedom + 1 - own, 0)
        return replace(self, degrees_of_freedom=min(besides, _MEASURED_DEGREES))

    def __or__(self, other: SeedVariance) -> SeedVariance:
        """What both say together, as one estimate."""
        df = self.degrees_of_freedom + other.degrees_of_freedom
        if df == 0:
            return self
        of_self = self.degrees_of_freedom / df
        return SeedVariance(
            variance=of_self * self.variance + (1 - of_self) * other.variance,
            degrees_of_freedom=df,
            noise=of_self * self.noise + (1 - of_self) * other.noise,
        )


@dataclass(frozen=True, eq=False)
class SeedSpread:
    """A recipe's standard deviation over seeds, as a distribution: (k,) values and weights."""

    values: Floats
    weights: Floats

    def of_mean(self, seeds: int) -> tuple[Floats, Floats]:
        """Variances of the mean over so many seeds, and their weights, (k,) both.

        A single fit may be an outlier, which a mean would dampen and several fits would show: it is
        taken to follow Student's t with few degrees of freedom.
        """
        variances = self.values**2 / seeds
        if seeds > 1 or self.values[0] == 0:
            return variances, self.weights
        heavier, of_heavier = _outlying()
        return (
            np.multiply.outer(variances, heavier).ravel(),
            np.multiply.outer(self.weights, of_heavier).ravel(),
        )

    def of_rerun(self, seeds: int, least: float) -> tuple[Floats, Floats]:
        """The same of one more run minus the mean over so many seeds, σ at least `least`.

        The one more run may be an outlier, and so may a single one that it is held against.
        """
        squares = np.maximum(self.values, least) ** 2
        if self.values[0] == 0:
            return squares * (1 + 1 / seeds), self.weights
        heavier, of_heavier = _outlying()
        both = heavier + 1 / seeds if seeds > 1 else _both_outlying()
        return (
            np.multiply.outer(squares, both).ravel(),
            np.multiply.outer(self.weights, of_heavier).ravel(),
        )

    @property
    def precision_variance(self) -> float:
        """The variance over seeds: 1 / mean of 1 / variance, as a t test would take it."""
        squares = self.values**2
        return 0.0 if squares[0] == 0 else 1 / float(self.weights @ (1 / squares))


#: Of a deterministic model.
NO_SPREAD = SeedSpread(np.zeros(1), np.ones(1))


def seed_spreads(known: Sequence[SeedVariance]) -> list[SeedSpread | None]:
    """The spread of each recipe, given what is known of all of them, which are of one kind.

    None where nothing is known of a recipe itself nor of three others: two say little of each other
    (`_wide_share`), and less of a third.
    """
    informed = [each for each in known if each.degrees_of_freedom]
    if not informed:
        return [None] * len(known)
    likelihoods = np.stack([_likelihood(each) for each in known])  # (m, k)
    prior = _prior()
    wide = _wide_share(informed)
    of_type = (1 - wide) * prior.densities + wide / len(_SPREADS)  # (h, k)
    evidence = np.maximum(likelihoods @ of_type.T, 1e-300)  # (m, h)
    logs = prior.log_weights + np.log(evidence).sum(axis=0)  # (h,)
    weights = np.exp(logs - logs.max())
    # The weight of hyperparameters counts a recipe's own likelihood; that is divided out.
    posterior = likelihoods * ((weights / evidence) @ of_type)  # (m, k)
    posterior /= posterior.sum(axis=1, keepdims=True)
    few = len(informed) < 3
    return [
        None if few and not each.degrees_of_freedom else _trimmed(row)
        for each, row in zip(known, posterior, strict=True)
    ]


@cache
def _outlying() -> tuple[Floats, Floats]:
    """Factors of a variance whose mixture is Student's t, and their weights."""
    chances = (np.arange(200) + 0.5) / 200
    factors = _OUTLYING_DEGREES / special.chdtri(_OUTLYING_DEGREES, chances)
    return factors, np.full(200, 1 / 200)


@cache
def _both_outlying() -> Floats:
    """The same factors of the difference of two fits, both outliers perhaps."""
    factors, _ = _outlying()
    sums = np.sort(np.add.outer(factors, factors), axis=None)
    both: Floats = sums.reshape(len(factors), -1).mean(axis=1)
    return both


class _Prior(NamedTuple):
    """Types of tables: where the spreads of their recipes lie, and how likely each type is."""

    densities: Floats  # (h, k) of the spread
    log_weights: Floats  # (h,)


@cache
def _prior() -> _Prior:
    logs = np.log(_SPREADS)
    center, unlikeness = (each.ravel() for each in np.meshgrid(logs, _UNLIKENESS, indexing="ij"))
    densities = np.exp(-(((logs - center[:, None]) / unlikeness[:, None]) ** 2) / 2)
    densities /= densities.sum(axis=1, keepdims=True)
    steps = np.gradient(_UNLIKENESS)
    cauchy = steps / (1 + (_UNLIKENESS / _UNLIKENESS_SCALE) ** 2)
    return _Prior(densities, np.tile(np.log(cauchy), len(logs)))


def _wide_share(informed: Sequence[SeedVariance]) -> float:
    """How likely a recipe is to be unlike all others, whatever their spreads are.

    It falls with the number of others, and fast with the number of fits of each: that d + 1 of them
    are alike by chance is as likely as the d-th power of how alike. So two models alone say little
    of each other, and one wild recipe among many isn't taken for a tame one because two of its fits
    are alike.
    """
    others = len(informed) - 1
    if others < 1:
        return 1.0
    degrees = [each.degrees_of_freedom for each in informed]
    per_model = sum(degrees) / len(degrees)
    alike = (others - 1) * per_model**3 + _PAIR * min(degrees) ** 2
    return _STRAY / (_STRAY + alike)


def _likelihood(known: SeedVariance) -> Floats:
    """Of each possible spread, up to a factor: degrees of freedom · s² / σ² is chi-squared."""
    df, squares = known.degrees_of_freedom, _SPREADS**2
    logs = -df * np.log(_SPREADS) - df * max(known.variance, squares[0]) / (2 * squares)
    logs[squares < min(_OF_NOISE * known.noise, squares[-1])] = -np.inf
    likelihood: Floats = np.exp(logs - logs.max())
    return likelihood


def _trimmed(weights: Floats) -> SeedSpread:
    """Without spreads that are out of the question."""
    kept = weights > 1e-9
    return SeedSpread(_SPREADS[kept], weights[kept] / weights[kept].sum())
