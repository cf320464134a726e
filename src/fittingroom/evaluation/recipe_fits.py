"""Fits of recipes with several seeds, and the recipes' accuracy estimated from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fittingroom.errors import InputError
from fittingroom.evaluation.correctness import check_correct, mean_variance, seed_variance
from fittingroom.evaluation.intervals import CONFIDENCE, Interval, wilson
from fittingroom.evaluation.normal_mixture import NormalMixture
from fittingroom.evaluation.seed_spread import NO_SPREAD, SeedSpread, SeedVariance, seed_spreads


@dataclass(frozen=True, eq=False)
class Fits:
    """Fits of one recipe with different seeds, and which test images they classify correctly.

    Attributes
    ----------
    correct : bool (seeds, n); one row if the recipe is deterministic
    deterministic : whether every seed gives the same fit
    kind : recipes of the same kind are assumed to have similar spreads over seeds
    known : what other fits on the same images say about the spread
    copies : (n,) the same number for images that are copies of one another; None if none are

    Raises
    ------
    InputError : `correct` isn't such an array, or a deterministic recipe has several rows
    """

    correct: NDArray[np.bool_]
    deterministic: bool = False
    kind: str = ""
    known: SeedVariance | None = None
    copies: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        check_correct(self.correct)
        if self.deterministic and len(self.correct) > 1:
            raise InputError(
                f"a deterministic model has {len(self.correct)} rows of predictions; give only "
                "one, since every seed gives the same fit."
            )

    @property
    def n_seeds(self) -> int:
        return len(self.correct)

    @property
    def single_seed(self) -> bool:
        """Whether there is only one seed although seeds matter."""
        return self.n_seeds == 1 and not self.deterministic

    @cached_property
    def right(self) -> NDArray[np.int64]:
        """The number of seeds with which each image is classified correctly, (n,)."""
        right: NDArray[np.int64] = self.correct.sum(axis=0, dtype=np.int64)
        return right

    @property
    def accuracy(self) -> float:
        """The mean over the seeds."""
        return int(self.right.sum()) / self.correct.size

    @cached_property
    def variance(self) -> SeedVariance:
        """What these fits and the known ones say about the variance over seeds."""
        own = SeedVariance.of(self.correct)
        return own if self.known is None else own | self.known

    @property
    def noise(self) -> float:
        """The part of a variance over images that is counted as variance over seeds already."""
        return 0.0 if self.deterministic else self.variance.noise / self.n_seeds


@dataclass(frozen=True)
class AccuracyEstimate:
    """The accuracy of a recipe, with intervals.

    Attributes
    ----------
    mean : over seeds
    sd : standard deviation over seeds; None for one seed
    interval : 95%, of the recipe: for other seeds and other images; None if the spread over seeds
        is unknown
    fit_interval : 95%, of a single fit, for other images; None if there are several fits
    n_seeds : number of seeds
    """

    mean: float
    sd: float | None
    interval: Interval | None
    fit_interval: Interval | None
    n_seeds: int


def spreads_of(recipes: Mapping[str, Fits]) -> dict[str, SeedSpread | None]:
    """The spread of each recipe over seeds, from its own fits and from others of its kind.

    None if nothing is known about it, see `seed_spreads`.
    """
    spreads: dict[str, SeedSpread | None] = dict.fromkeys(recipes, NO_SPREAD)
    for kind in {fits.kind for fits in recipes.values()}:
        seeded = {
            name: fits.variance
            for name, fits in recipes.items()
            if fits.kind == kind and not fits.deterministic
        }
        spreads.update(zip(seeded, seed_spreads([*seeded.values()]), strict=True))
    return spreads


def accuracies(recipes: Mapping[str, Fits]) -> dict[str, AccuracyEstimate]:
    """The accuracy of each recipe in a table."""
    return accuracies_of(recipes, spreads_of(recipes))


def accuracies_of(
    recipes: Mapping[str, Fits], spreads: Mapping[str, SeedSpread | None]
) -> dict[str, AccuracyEstimate]:
    """As `accuracies`, given the result of `spreads_of`."""
    return {name: _estimate(fits, spreads[name]) for name, fits in recipes.items()}


def _estimate(fits: Fits, spread: SeedSpread | None) -> AccuracyEstimate:
    mean = fits.accuracy
    fit_interval = None
    if fits.n_seeds == 1:
        fit_interval = accuracy_interval(fits, NO_SPREAD, (1 - CONFIDENCE) / 2)
    interval = None
    if spread is not None:
        interval = accuracy_interval(fits, spread, (1 - CONFIDENCE) / 2)
    sd = sqrt(seed_variance(fits.correct)) if fits.n_seeds > 1 else None
    return AccuracyEstimate(mean, sd, interval, fit_interval, fits.n_seeds)


def accuracy_interval(fits: Fits, spread: SeedSpread, tail: float) -> Interval:
    """The interval that a recipe's accuracy is below, and above, with probability `tail` each.

    Wilson's interval for the effective sample size: the number of independent images that would
    give the same error (Korn and Graubard 1998, Survey Methodology 24:193-201). So it stays within
    0 and 1, and has a width even if every image is classified correctly.
    """
    n, mean = fits.correct.shape[1], fits.accuracy
    if spread is NO_SPREAD and fits.copies is None:
        return wilson(int(fits.right.sum()), n, confidence=1 - 2 * tail)
    over_images, drawn = mean_variance(fits.right, fits.copies)
    noise = 0.0 if spread is NO_SPREAD else fits.noise
    over_images = max(0.0, over_images / fits.n_seeds**2 - noise)
    error = NormalMixture.of(over_images, [spread.of_mean(fits.n_seeds)])
    half_width = error.half_width(2 * tail)
    z = -float(special.ndtri(tail))
    n_effective = float(drawn)
    if half_width > 0 and 0 < mean < 1:
        n_effective = min(drawn * fits.n_seeds, max(1.0, z * z * mean * (1 - mean) / half_width**2))
    return wilson(mean * n_effective, n_effective, confidence=1 - 2 * tail)
