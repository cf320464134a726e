"""The difference between two recipes: which is better, by how much, and how certainly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fittingroom.errors import InputError
from fittingroom.evaluation.correctness import Draws, mean_over_images, mean_variance
from fittingroom.evaluation.intervals import CONFIDENCE, Interval, paired_interval
from fittingroom.evaluation.looks import Look, level, sequential_p
from fittingroom.evaluation.normal_mixture import NormalMixture
from fittingroom.evaluation.recipe_fits import Fits, spreads_of
from fittingroom.evaluation.seed_spread import SeedSpread

#: With fewer images the exact McNemar test is too conservative to be useful.
FEW_IMAGES = 1000


@dataclass(frozen=True)
class PairedDifference:
    """Accuracy of recipe A minus accuracy of recipe B on the same images.

    Attributes
    ----------
    difference : of the mean accuracies over seeds, A minus B
    interval : 95%, of the recipes: for other seeds and other images; None if the spread over seeds
        is unknown
    p : two-sided, of the same difference; None as above
    p_looks : p adjusted for the alpha that looks at fewer or more seeds spend
    p_first_look : the same if nobody had looked before
    p_these_fits : two-sided, of the two fits at hand on other images; None if a recipe has several
        fits
    only_a_right, only_b_right : the expected number of images that a fit of one recipe classifies
        correctly and a fit of the other doesn't, over all pairs of their seeds; a plain count if
        each has one fit. `difference` is (only_a_right - only_b_right) / n, unless classes count
        alike
    method : the test that gave p
    standard_error, degrees_of_freedom : of Student's t with the same interval; both None with any
        other method, and the degrees None if infinite
    single_seed : whether a recipe that isn't deterministic has only one seed
    """

    difference: float
    interval: Interval | None
    p: float | None
    p_looks: float | None
    p_first_look: float | None
    p_these_fits: float | None
    only_a_right: float
    only_b_right: float
    method: str
    standard_error: float | None
    degrees_of_freedom: float | None
    single_seed: bool


def mcnemar(only_a: int, only_b: int, *, mid_p: bool = False) -> float:
    """The two-sided p of McNemar's test (1947, Psychometrika 12:153-157).

    Under the null hypothesis an image that only one of two models classifies correctly is equally
    likely to be A's or B's: a binomial test at 1/2.

    Parameters
    ----------
    only_a, only_b : images that only A, and only B, classifies correctly; 0 and 0 give 1
    mid_p : count the observed outcome half (Fagerland, Lydersen and Laake 2013, BMC Medical
        Research Methodology 13:91): no longer exact, but less conservative

    Raises
    ------
    InputError : a count is negative
    """
    if min(only_a, only_b) < 0:
        raise InputError(f"the counts of images can't be negative: {only_a} and {only_b}.")
    # scipy.stats.binomtest(only_a, both).pvalue takes 1.1 ms instead of 4 µs (for 540 images), has
    # no mid-p, refuses 0 of 0, and differs in the last bits.
    fewer, both = min(only_a, only_b), only_a + only_b
    tail = float(special.bdtr(fewer, both, 0.5))
    if mid_p:
        below = float(special.bdtr(fewer - 1, both, 0.5)) if fewer else 0.0
        tail = (tail + below) / 2
    return min(1.0, 2 * tail)


def compare_pair(a: Fits, b: Fits) -> PairedDifference:
    """Compare two recipes by the images that each of their fits classifies correctly.

    Two deterministic recipes: McNemar's test, exact, or mid-p below 1,000 images, and the interval
    of `paired_interval`; a normal test where images repeat or classes count alike. Otherwise the
    difference between the means over S seeds has the variance

        variance over images of the difference / n + σ²_A / S_A + σ²_B / S_B

    The noise of single images is subtracted from the first term, since the others include it. The
    spreads σ are distributions (`seed_spreads`), so p is that of the Behrens-Fisher problem.

    It assumes that nobody will look again with more seeds. Raises InputError if the recipes have
    different numbers of images.
    """
    spreads = spreads_of({"a": a, "b": b})
    return compare(a, spreads["a"], b, spreads["b"], None)


def compare(
    a: Fits,
    spread_a: SeedSpread | None,
    b: Fits,
    spread_b: SeedSpread | None,
    earlier_seeds: Sequence[tuple[int, int]] | None,
) -> PairedDifference:
    """As `compare_pair`, with spreads that may come from a larger table.

    Parameters
    ----------
    a, b : the fits of the two recipes
    spread_a, spread_b : their spreads over seeds; None if unknown
    earlier_seeds : the numbers of seeds of A and B at each earlier look; None if nobody looks twice
    """
    n = a.correct.shape[1]
    if n != b.correct.shape[1]:
        raise InputError(
            f"one model has predictions for {n} images, the other for {b.correct.shape[1]}; "
            "compare them on the same images."
        )
    counts = _Counts.of(a, b)
    these_fits = _compare_fits(counts) if counts.scale == 1 else None
    unknown = PairedDifference(
        difference=counts.difference,
        interval=None,
        p=None,
        p_looks=None,
        p_first_look=None,
        p_these_fits=these_fits.p if these_fits else None,
        only_a_right=counts.only_a,
        only_b_right=counts.only_b,
        method="unknown spread over seeds",
        standard_error=None,
        degrees_of_freedom=None,
        single_seed=a.single_seed or b.single_seed,
    )
    if a.deterministic and b.deterministic and these_fits is not None:
        return replace(
            unknown,
            interval=these_fits.interval,
            p=these_fits.p,
            p_looks=these_fits.p,
            p_first_look=these_fits.p,
            method=these_fits.method,
        )
    if spread_a is None or spread_b is None:
        return unknown
    over_images = _image_variance(counts, a.noise + b.noise)
    over_seeds = [spread_a.of_mean(a.n_seeds), spread_b.of_mean(b.n_seeds)]
    error = NormalMixture.of(over_images, over_seeds)
    p, tail = error.tail(counts.difference), 1 - CONFIDENCE
    degrees = error.degrees_of_freedom(tail)
    p_looks = p_first = p
    if earlier_seeds is not None:
        looks = _looks(earlier_seeds, over_images, (a, spread_a), (b, spread_b))
        p_looks, p_first = sequential_p(p, looks), sequential_p(p, looks[-1:])
        tail = level(looks, tail)
    return replace(
        unknown,
        interval=_interval_around(counts.difference, error.half_width(tail)),
        p=p,
        p_looks=p_looks,
        p_first_look=p_first,
        method="Behrens-Fisher over images and seeds",
        standard_error=error.standard_error,
        degrees_of_freedom=degrees if isfinite(degrees) else None,
    )


def image_variance(a: Fits, b: Fits) -> float:
    """The variance over draws of the images of the difference between two recipes' accuracies."""
    return _image_variance(_Counts.of(a, b), a.noise + b.noise)


class _Counts(NamedTuple):
    """Two recipes on the same images, in integers so that sums are exact.

    Attributes
    ----------
    differences : (n,) the share of A's fits that classify an image correctly minus that of B's, in
        units of 1 / scale
    only_a, only_b, copies, classes : as in `PairedDifference` and `Fits`
    """

    differences: NDArray[np.int64]
    scale: int
    only_a: float
    only_b: float
    copies: NDArray[np.int64] | None
    classes: NDArray[np.integer] | None

    @classmethod
    def of(cls, a: Fits, b: Fits) -> _Counts:
        scale = a.n_seeds * b.n_seeds
        return cls(
            differences=b.n_seeds * a.right - a.n_seeds * b.right,
            scale=scale,
            only_a=int(a.right @ (b.n_seeds - b.right)) / scale,
            only_b=int(b.right @ (a.n_seeds - a.right)) / scale,
            copies=a.copies,
            classes=a.classes,
        )

    @property
    def difference(self) -> float:
        return mean_over_images(self.differences, self.scale, self.classes)


class _FitsComparison(NamedTuple):
    """The comparison of two fits, for other images but the same weights."""

    interval: Interval
    p: float
    method: str


def _compare_fits(counts: _Counts) -> _FitsComparison:
    only_a, only_b, n = int(counts.only_a), int(counts.only_b), len(counts.differences)
    special_cases = {
        "classes alike": counts.classes is not None,
        "copies of an image as one": counts.copies is not None,
    }
    if any(special_cases.values()):
        error = NormalMixture.of(_image_variance(counts, 0.0), [])
        return _FitsComparison(
            _interval_around(counts.difference, error.half_width(1 - CONFIDENCE)),
            error.tail(counts.difference),
            ", ".join(["normal", *(case for case, holds in special_cases.items() if holds)]),
        )
    few = n < FEW_IMAGES
    return _FitsComparison(
        paired_interval(only_a, only_b, n, exact=not few),
        mcnemar(only_a, only_b, mid_p=few),
        "mid-p McNemar" if few else "exact McNemar",
    )


def _interval_around(difference: float, half_width: float) -> Interval:
    return Interval(max(-1.0, difference - half_width), min(1.0, difference + half_width))


def _looks(
    earlier_seeds: Sequence[tuple[int, int]],
    over_images: float,
    *recipes: tuple[Fits, SeedSpread],
) -> list[Look]:
    """The looks at fewer seeds, fewest first, followed by this one."""

    def look_at(n_seeds: Sequence[int]) -> Look:
        counts = [
            inf if fits.deterministic else n for n, (fits, _) in zip(n_seeds, recipes, strict=True)
        ]
        over_seeds = sum(
            spread.precision_variance / n for n, (_, spread) in zip(counts, recipes, strict=True)
        )
        return Look((counts[0], counts[1]), over_images + over_seeds)

    last = look_at([fits.n_seeds for fits, _ in recipes])
    earlier = {
        look.alpha_spent: look
        for look in map(look_at, earlier_seeds)
        if look.alpha_spent < last.alpha_spent
    }
    return [*(earlier[spent] for spent in sorted(earlier)), last]


def _image_variance(counts: _Counts, noise: float) -> float:
    """The variance of the difference over draws of the images, without `noise`.

    A few differences say little about the variance, so two images are added, one that only A and
    one that only B classifies correctly (Agresti and Min 2005, Statistics in Medicine 24:729-740).
    As in McNemar's test it is the variance under the null hypothesis, which isn't 0 when all images
    differ by the same amount.
    """
    if counts.classes is not None:
        return _balanced_variance(counts, counts.classes, noise)
    over_images, drawn = mean_variance(counts.differences, counts.copies)
    over_images = max(0.0, over_images / counts.scale**2 - noise)
    return over_images + counts.difference**2 / drawn + 2 / drawn**2


def _balanced_variance(counts: _Counts, classes: NDArray[np.integer], noise: float) -> float:
    """As `_image_variance`, for the mean over classes.

    An image has the weight 1 / (classes · images of its class). The two that are added are of the
    class that such a weight makes matter most: on average over classes, weighted by it.
    """
    draws = Draws.by_class(classes, counts.copies)
    weights = 1 / (len(draws.images) * draws.images[draws.label])
    together = np.bincount(draws.draw, weights * counts.differences) / counts.scale
    of_class = 1 / draws.drawn
    added = 2 * float((of_class**3).sum() / of_class.sum()) / len(draws.drawn) ** 2
    return max(0.0, float(together @ together) - noise) + added
