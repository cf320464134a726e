"""How much a recipe's accuracy varies from seed to seed, estimated from all models in a table.

A few seeds say little about the spread over seeds: with two fits the estimate is ten times too
small in one case in twelve. But recipes resemble one another, so all of them together show where
the spread of each is likely to lie. Smyth (2004, Statistical Applications in Genetics and Molecular
Biology, volume 3, article 3) shrinks variances that way, by empirical Bayes. Here the logarithm of
the spread has a normal prior whose parameters are integrated out, so that the spreads of few or
dissimilar recipes shrink little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fittingroom.evaluation.correctness import class_weights, seed_variance

Floats = NDArray[np.float64]

#: The most degrees of freedom that earlier measurements count for: some fits are worse than a
#: normal distribution allows for, and they come from another machine.
_MEASURED_DEGREES = 5
#: Degrees of freedom of Student's t, which single fits follow.
_OUTLIER_DEGREES = 7
#: The grid of standard deviations over seeds, of an accuracy in 0..1.
_SPREADS = np.geomspace(1e-5, 0.5, 120)
#: The grid of standard deviations, over recipes, of the logarithm of the spread.
_DISSIMILARITIES = np.array([0.1, *np.geomspace(0.15, 4.0, 13)])
#: The scale of their half-Cauchy prior (Gelman 2006, Bayesian Analysis 1:515-534).
_DISSIMILARITY_SCALE = 0.5
#: The weight of the possibility that a recipe resembles no other: see `_wide_share`.
_STRAY = 1.0
#: How much two recipes alone are assumed to say about each other.
_PAIR = 1 / 6
#: A variance over seeds is at least this share of its noise, which is an estimate itself.
_OF_NOISE = 0.95


@dataclass(frozen=True)
class SeedVariance:
    """What fits of one recipe say about its variance over seeds.

    Attributes
    ----------
    variance : unbiased estimate, of the accuracy on the test images
    degrees_of_freedom : seeds - 1; 0 if nothing is known
    noise : the part of `variance` that independent changes of single images contribute
    """

    variance: float
    degrees_of_freedom: int
    noise: float

    @classmethod
    def of(
        cls, correct: NDArray[np.bool_], classes: NDArray[np.integer] | None = None
    ) -> SeedVariance:
        """The estimate from bool (seeds, n): which images each fit classifies correctly.

        `classes` are those of the images, (n,), if all classes count alike.
        """
        n_seeds, n = correct.shape
        if n_seeds == 1:
            return cls(0.0, 0, 0.0)
        right = correct.sum(axis=0, dtype=np.int64)  # (n,) how many seeds are right
        disagreeing = right * (n_seeds - right)
        weights = None if classes is None else class_weights(classes) ** 2
        disagreement = int(disagreeing.sum()) if weights is None else float(disagreeing @ weights)
        noise = disagreement / (n_seeds * (n_seeds - 1)) / n**2
        return cls(seed_variance(correct, classes), n_seeds - 1, noise)

    def measured(self, own: int = 1) -> SeedVariance:
        """The estimate as an earlier measurement, to be combined with `own` further fits.

        These fits may be among the measured ones (the same seeds on a similar machine), and no fit
        may count twice, so their number is subtracted. The degrees of freedom are limited, since
        further fits may be outliers.
        """
        degrees = max(self.degrees_of_freedom + 1 - own, 0)
        return replace(self, degrees_of_freedom=min(degrees, _MEASURED_DEGREES))

    def __or__(self, other: SeedVariance) -> SeedVariance:
        """The pooled estimate of both."""
        df = self.degrees_of_freedom + other.degrees_of_freedom
        if df == 0:
            return self
        weight = self.degrees_of_freedom / df
        return SeedVariance(
            variance=weight * self.variance + (1 - weight) * other.variance,
            degrees_of_freedom=df,
            noise=weight * self.noise + (1 - weight) * other.noise,
        )


@dataclass(frozen=True, eq=False)
class SeedSpread:
    """The distribution of a recipe's standard deviation over seeds: (k,) values and weights."""

    values: Floats
    weights: Floats

    def of_mean(self, n_seeds: int) -> tuple[Floats, Floats]:
        """The variances of the mean over this many seeds, and their weights, both (k,).

        A single fit may be an outlier, which a mean would dampen and several fits would reveal, so
        it follows Student's t with few degrees of freedom.
        """
        variances = self.values**2 / n_seeds
        if n_seeds > 1 or self.values[0] == 0:
            return variances, self.weights
        factors, factor_weights = _outlier_factors()
        return (
            np.multiply.outer(variances, factors).ravel(),
            np.multiply.outer(self.weights, factor_weights).ravel(),
        )

    def of_rerun(self, n_seeds: int, least: float) -> tuple[Floats, Floats]:
        """As `of_mean`, for one more run minus the mean over this many seeds, σ at least `least`.

        The new run may be an outlier, and so may a single run that it is compared with.
        """
        squares = np.maximum(self.values, least) ** 2
        if self.values[0] == 0:
            return squares * (1 + 1 / n_seeds), self.weights
        factors, factor_weights = _outlier_factors()
        sums = factors + 1 / n_seeds if n_seeds > 1 else _outlier_difference_factors()
        return (
            np.multiply.outer(squares, sums).ravel(),
            np.multiply.outer(self.weights, factor_weights).ravel(),
        )

    @property
    def precision_variance(self) -> float:
        """The variance over seeds as a t test would use it: 1 / mean of 1 / variance."""
        squares = self.values**2
        return 0.0 if squares[0] == 0 else 1 / float(self.weights @ (1 / squares))


#: The spread of a deterministic model.
NO_SPREAD = SeedSpread(np.zeros(1), np.ones(1))


def seed_spreads(known: Sequence[SeedVariance]) -> list[SeedSpread | None]:
    """The spread of each recipe, given what is known about all of them; they are of one kind.

    None if nothing is known about the recipe itself and about fewer than three others: two say
    little about each other (`_wide_share`), and less about a third.
    """
    informed = [variance for variance in known if variance.degrees_of_freedom]
    if not informed:
        return [None] * len(known)
    likelihoods = np.stack([_likelihood(variance) for variance in known])  # (m, k)
    prior = _prior()
    wide = _wide_share(informed)
    densities = (1 - wide) * prior.densities + wide / len(_SPREADS)  # (h, k)
    evidence = np.maximum(likelihoods @ densities.T, 1e-300)  # (m, h)
    logs = prior.log_weights + np.log(evidence).sum(axis=0)  # (h,)
    weights = np.exp(logs - logs.max())
    # The weights of the hyperparameters include each recipe's own likelihood, so divide it out.
    posterior = likelihoods * ((weights / evidence) @ densities)  # (m, k)
    posterior /= posterior.sum(axis=1, keepdims=True)
    few = len(informed) < 3
    return [
        None if few and not variance.degrees_of_freedom else _trim(row)
        for variance, row in zip(known, posterior, strict=True)
    ]


@cache
def _outlier_factors() -> tuple[Floats, Floats]:
    """Factors of the variance, and their weights, that make a mixture of normals Student's t."""
    quantiles = (np.arange(200) + 0.5) / 200
    factors = _OUTLIER_DEGREES / special.chdtri(_OUTLIER_DEGREES, quantiles)
    return factors, np.full(200, 1 / 200)


@cache
def _outlier_difference_factors() -> Floats:
    """The factors for the difference of two fits, either of which may be an outlier."""
    factors, _ = _outlier_factors()
    sums = np.sort(np.add.outer(factors, factors), axis=None)
    means: Floats = sums.reshape(len(factors), -1).mean(axis=1)
    return means


class _Prior(NamedTuple):
    """The prior of the spreads for each of h hyperparameters (centre and dissimilarity)."""

    densities: Floats  # (h, k) over the grid of spreads
    log_weights: Floats  # (h,) of the hyperparameters


@cache
def _prior() -> _Prior:
    logs = np.log(_SPREADS)
    center, width = (grid.ravel() for grid in np.meshgrid(logs, _DISSIMILARITIES, indexing="ij"))
    densities = np.exp(-(((logs - center[:, None]) / width[:, None]) ** 2) / 2)
    densities /= densities.sum(axis=1, keepdims=True)
    steps = np.gradient(_DISSIMILARITIES)
    cauchy = steps / (1 + (_DISSIMILARITIES / _DISSIMILARITY_SCALE) ** 2)
    return _Prior(densities, np.tile(np.log(cauchy), len(logs)))


def _wide_share(informed: Sequence[SeedVariance]) -> float:
    """The prior probability that a recipe's spread resembles no other.

    It falls with the number of other recipes, and fast with the number of fits of each: the
    probability that d + 1 fits are close together by chance is the d-th power of how close. So two
    models alone say little about each other, and one unstable recipe among many isn't mistaken for
    a stable one because two of its fits are close together.
    """
    n_others = len(informed) - 1
    if n_others < 1:
        return 1.0
    degrees = [variance.degrees_of_freedom for variance in informed]
    per_model = sum(degrees) / len(degrees)
    alike = (n_others - 1) * per_model**3 + _PAIR * min(degrees) ** 2
    return _STRAY / (_STRAY + alike)


def _likelihood(known: SeedVariance) -> Floats:
    """The likelihood of each spread σ, (k,), up to a factor: df · s² / σ² is chi-squared."""
    df, squares = known.degrees_of_freedom, _SPREADS**2
    logs = -df * np.log(_SPREADS) - df * max(known.variance, squares[0]) / (2 * squares)
    logs[squares < min(_OF_NOISE * known.noise, squares[-1])] = -np.inf
    likelihood: Floats = np.exp(logs - logs.max())
    return likelihood


def _trim(weights: Floats) -> SeedSpread:
    """A spread without the values of negligible weight."""
    likely = weights > 1e-9
    return SeedSpread(_SPREADS[likely], weights[likely] / weights[likely].sum())
