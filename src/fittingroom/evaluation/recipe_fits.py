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
from fittingroom.evaluation.correctness import (
    Draws,
    check_correct,
    mean_over_images,
    mean_variance,
    seed_variance,
)
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
    classes : (n,) of each image, if all classes count alike: `accuracy` is then the balanced one,
        the mean over classes of the share of their images that is right; None if all images do

    Raises
    ------
    InputError : `correct` isn't such an array, or a deterministic recipe has several rows
    """

    correct: NDArray[np.bool_]
    deterministic: bool = False
    kind: str = ""
    known: SeedVariance | None = None
    copies: NDArray[np.int64] | None = None
    classes: NDArray[np.integer] | None = None

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
        return mean_over_images(self.right, self.n_seeds, self.classes)

    @cached_property
    def variance(self) -> SeedVariance:
        """What these fits and the known ones say about the variance over seeds."""
        own = SeedVariance.of(self.correct, self.classes)
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
    sd = sqrt(seed_variance(fits.correct, fits.classes)) if fits.n_seeds > 1 else None
    return AccuracyEstimate(mean, sd, interval, fit_interval, fits.n_seeds)


def accuracy_interval(fits: Fits, spread: SeedSpread, tail: float) -> Interval:
    """The interval that a recipe's accuracy is below, and above, with probability `tail` each.

    Wilson's interval for the effective sample size: the number of independent images that would
    give the same error (Korn and Graubard 1998, Survey Methodology 24:193-201). So it stays within
    0 and 1, and has a width even if every image is classified correctly.
    """
    n, mean = fits.correct.shape[1], fits.accuracy
    if fits.classes is not None:
        return _balanced_interval(fits, fits.classes, spread, tail)
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


def _balanced_interval(
    fits: Fits, classes: NDArray[np.integer], spread: SeedSpread, tail: float
) -> Interval:
    """As `accuracy_interval`, for the mean over classes.

    The stratified Wilson interval (Yan and Su 2010, Statistics in Biopharmaceutical Research
    2:329-335): the mean of the classes' own intervals, each narrower by as much as errors of
    different classes cancel. So a class of few images, all of them right, still has its say. Since
    few images say little about their class's errors, the interval is at least as wide as if each
    class had two images more, which are right as often as those of all classes.
    """
    z, mean = -float(special.ndtri(tail)), fits.accuracy
    shares, n = _class_shares(fits, Draws.by_class(classes, fits.copies))
    # Not 0 where all are right: as if one more image were right, and one wrong.
    likely = (shares * n + 1) / (n + 2)
    errors = np.sqrt(likely * (1 - likely) / n)
    confidence = 1 - 2 * float(special.ndtr(-z * np.hypot.reduce(errors) / errors.sum()))
    ends = [wilson(share * each, each, confidence) for share, each in zip(shares, n, strict=True)]
    noise = 0.0 if spread is NO_SPREAD else fits.noise
    pooled = (shares * n + 2 * mean) / (n + 2)
    least = float(np.hypot.reduce(np.sqrt(pooled * (1 - pooled) / n))) / len(n)
    low, high = (
        NormalMixture.of(
            max(0.0, max(distance / z, least) ** 2 - noise), [spread.of_mean(fits.n_seeds)]
        ).half_width(2 * tail)
        for distance in (
            mean - float(np.mean([end.low for end in ends])),
            float(np.mean([end.high for end in ends])) - mean,
        )
    )
    return Interval(max(0.0, mean - low), min(1.0, mean + high))


def _class_shares(fits: Fits, draws: Draws) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share of each class's images that is right, (k,), and an effective number of images.

    That is the number of independent images of one fit with the same error; where all are right or
    all wrong, the number of distinct ones.
    """
    shares = np.bincount(draws.label, fits.right) / (draws.images * fits.n_seeds)
    off = np.bincount(draws.draw, fits.right / fits.n_seeds - shares[draws.label])
    residuals = off * (draws.drawn / draws.images)[draws.of]
    squares = np.bincount(draws.of, residuals**2)  # (k,), of a variance between draws
    n = draws.drawn.astype(np.float64)
    known = (draws.drawn > 1) & (squares > 0)
    variance = squares[known] / (n[known] - 1)
    expected = shares[known] * (1 - shares[known])
    n[known] = np.clip(n[known] * expected / variance, 1.0, n[known] * fits.n_seeds)
    return shares, n
