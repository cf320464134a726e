"""What the fits of recipes have right, and what that says of the recipes' accuracy."""

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
    """Fits of one recipe with different seeds, and which test images they have right.

    Attributes
    ----------
    correct : bool (seeds, n); one row where the recipe is deterministic
    deterministic : another seed gives the same fit
    kind : recipes of one kind say something of one another's spread over seeds
    known : what is known of that spread beside these fits, on the same images
    copies : (n,) numbers of the images, the same for copies; None where each is another
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
                f"a deterministic model has {len(self.correct)} rows of predictions; it is fitted "
                "once, give one."
            )

    @property
    def seeds(self) -> int:
        return len(self.correct)

    @property
    def single_seed(self) -> bool:
        """Whether nothing here tells what another fit would have right."""
        return self.seeds == 1 and not self.deterministic

    @cached_property
    def right(self) -> NDArray[np.int64]:
        """Of how many seeds each image is right, (n,)."""
        right: NDArray[np.int64] = self.correct.sum(axis=0, dtype=np.int64)
        return right

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return int(self.right.sum()) / self.correct.size

    @cached_property
    def variance(self) -> SeedVariance:
        """All that is known of the variance over seeds."""
        own = SeedVariance.of(self.correct)
        return own if self.known is None else own | self.known

    @property
    def noise(self) -> float:
        """What the noise of single images adds to a variance over images; seeds account for it."""
        return 0.0 if self.deterministic else self.variance.noise / self.seeds


@dataclass(frozen=True)
class AccuracyEstimate:
    """Accuracy of a recipe, with the interval for fits with other seeds and for other images.

    Attributes
    ----------
    mean : over seeds
    sd : over seeds; None where there is one
    interval : 95%, of the recipe; None where nothing tells what another seed would change
    fit_interval : 95%, of the one fit at hand on other images; None where there are several
    seeds : how many
    """

    mean: float
    sd: float | None
    interval: Interval | None
    fit_interval: Interval | None
    seeds: int


def spreads_of(recipes: Mapping[str, Fits]) -> dict[str, SeedSpread | None]:
    """Each recipe's spread over seeds, by its own fits and by those of others of its kind."""
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
    """The accuracy of each of the recipes of a table."""
    return accuracies_of(recipes, spreads_of(recipes))


def accuracies_of(
    recipes: Mapping[str, Fits], spreads: Mapping[str, SeedSpread | None]
) -> dict[str, AccuracyEstimate]:
    """The same where `spreads_of` the recipes are known."""
    return {name: _estimate(fits, spreads[name]) for name, fits in recipes.items()}


def _estimate(fits: Fits, spread: SeedSpread | None) -> AccuracyEstimate:
    mean = fits.accuracy
    of_fit = None
    if fits.seeds == 1:
        of_fit = accuracy_interval(fits, NO_SPREAD, (1 - CONFIDENCE) / 2)
    interval = None
    if spread is not None:
        interval = accuracy_interval(fits, spread, (1 - CONFIDENCE) / 2)
    sd = sqrt(seed_variance(fits.correct)) if fits.seeds > 1 else None
    return AccuracyEstimate(mean, sd, interval, of_fit, fits.seeds)


def accuracy_interval(fits: Fits, spread: SeedSpread, tail: float) -> Interval:
    """The recipe's accuracy lies below, and above, with probability `tail` each.

    Wilson's interval for as many independent images as would give the same error (Korn and
    Graubard 1998, Survey Methodology 24:193-201): so it stays within 0 and 1, and isn't empty where
    all images are right.
    """
    n, mean = fits.correct.shape[1], fits.accuracy
    if spread is NO_SPREAD and fits.copies is None:
        return wilson(int(fits.right.sum()), n, confidence=1 - 2 * tail)
    over_images, drawn = mean_variance(fits.right, fits.copies)
    noise = 0.0 if spread is NO_SPREAD else fits.noise
    over_images = max(0.0, over_images / fits.seeds**2 - noise)
    error = NormalMixture.of(over_images, [spread.of_mean(fits.seeds)])
    half = error.half_width(2 * tail)
    z = -float(special.ndtri(tail))
    independent = float(drawn)
    if half > 0 and 0 < mean < 1:
        independent = min(drawn * fits.seeds, max(1.0, z * z * mean * (1 - mean) / half**2))
    return wilson(mean * independent, independent, confidence=1 - 2 * tail)
