"""How far a figure may be from the truth, given the images and the seeds that were drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from fittingroom.errors import InputError

CONFIDENCE = 0.95
#: Standard deviation of an accuracy over re-runs that is assumed at least: other versions and other
#: machines move it too.
LEAST_SD = 0.001


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float]:
        return (self.low, self.high)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def to_dict(self) -> dict[str, float]:
        return {"low": self.low, "high": self.high}


@dataclass(frozen=True)
class StandardError:
    """A standard error from independent parts, and the degrees of freedom of its t test."""

    value: float
    degrees_of_freedom: float

    def interval(self, center: float, lowest: float, highest: float) -> Interval:
        """Student's 95% interval around `center`, kept within what is possible."""
        t = float(special.stdtrit(self.degrees_of_freedom, (1 + CONFIDENCE) / 2))
        half = t * self.value
        return Interval(max(lowest, center - half), min(highest, center + half))

    def p_value(self, difference: float) -> float:
        """Two-sided p of `difference` against zero."""
        return float(2 * special.stdtr(self.degrees_of_freedom, -abs(difference) / self.value))


@dataclass(frozen=True)
class AccuracyEstimate:
    """Accuracy of one model: mean over seeds, standard deviation over seeds, 95% interval.

    `sd` is None where there is one seed. `single_seed` says that a re-run might give something
    else and that nothing here tells how much: one seed of a model that is not deterministic.
    """

    mean: float
    sd: float | None
    interval: Interval
    seeds: int
    single_seed: bool

    def to_dict(self) -> dict[str, object]:
        return {
            "mean": self.mean,
            "sd": self.sd,
            "interval": list(self.interval.bounds),
            "seeds": self.seeds,
            "single_seed": self.single_seed,
        }


def wilson(successes: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22:209-212).

    Raises InputError unless 0 <= successes <= n and n >= 1.
    """
    if n < 1 or not 0 <= successes <= n:
        raise InputError(f"{successes} successes of {n} is not a share; give 0 to n of n >= 1.")
    z = float(special.ndtri((1 + confidence) / 2))
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and n the ends are exactly 0 and 1; rounding must not take them past it.
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == n else min(1.0, center + half)
    return Interval(low, high)


def accuracy_interval(correct: NDArray[np.bool_], deterministic: bool) -> AccuracyEstimate:
    """Accuracy with its interval from which images are right: bool (seeds, n).

    One seed, or a deterministic model: Wilson's interval on the images. Several seeds: Student's
    interval with SE² = variance over images of the seed-averaged correctness / n + variance
    over seeds of the accuracy / seeds. The seed noise of single images is in both terms, so the
    interval is slightly too wide rather than too narrow.
    """
    check_correct(correct)
    seeds, n = correct.shape
    if deterministic and seeds > 1:
        raise InputError(
            f"a deterministic model has {seeds} rows of predictions; it is fitted once, give one."
        )
    right = correct.sum(axis=0, dtype=np.int64)  # (n,) of how many seeds
    mean = int(right.sum()) / (n * seeds)
    if seeds == 1:
        return AccuracyEstimate(mean, None, wilson(int(right.sum()), n), 1, not deterministic)
    over_seeds, error = seed_variance(correct), None
    if n > 1:  # one image says nothing of the spread over images
        over_images = integer_variance(right) / seeds**2
        error = standard_error([(over_images / n, n - 1), (over_seeds / seeds, seeds - 1)])
    # No spread at all (every image right): Student would say "exactly 1", Wilson doesn't.
    interval = wilson(mean * n, n) if error is None else error.interval(mean, 0.0, 1.0)
    return AccuracyEstimate(mean, sqrt(over_seeds), interval, seeds, False)


def rerun_interval(accuracies: Sequence[float], deterministic: bool) -> Interval | None:
    """Where the accuracy of one more run would lie, with 95% confidence, on the same images.

    mean ± t · sd · √(1 + 1/S) over S seeds, Student's t with S - 1 degrees of freedom and an sd of
    at least 0.001: the prediction interval of one more observation (Hahn and Meeker 1991,
    "Statistical Intervals", section 4.7). Of a deterministic model's one fit it is its
    accuracy ± 1.96 · 0.001, by the normal distribution. A single seed of any other model says
    nothing of a re-run: None.
    """
    values = np.asarray(accuracies, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise InputError(f"accuracies are {list(accuracies)}; give at least one finite number.")
    seeds, mean = len(values), float(values.mean())
    if deterministic:
        half = float(special.ndtri((1 + CONFIDENCE) / 2)) * LEAST_SD
    elif seeds == 1:
        return None
    else:
        t = float(special.stdtrit(seeds - 1, (1 + CONFIDENCE) / 2))
        half = t * max(float(values.std(ddof=1)), LEAST_SD) * sqrt(1 + 1 / seeds)
    return Interval(max(mean - half, 0.0), min(mean + half, 1.0))


def standard_error(parts: Sequence[tuple[float, float]]) -> StandardError | None:
    """Join independent (variance, degrees of freedom) parts; None where all variances are 0.

    Degrees of freedom after Satterthwaite (1946, Biometrics Bulletin 2:110-114).
    """
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return None
    # Shares first: squares of variances near 1e-200 would vanish.
    spread = sum((variance / total) ** 2 / df for variance, df in parts if variance > 0)
    return StandardError(sqrt(total), 1 / spread)


def paired_interval(only_a: int, only_b: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Interval of a difference of two accuracies on the same n images, A minus B.

    Tango's score interval (1998, Statistics in Medicine 17:891-908) with the continuity
    correction of McNemar's test (Edwards 1948, Psychometrika 13:185-187), so that it leaves out
    0 where the exact test says "different": both count the images that one model alone has right.
    Identical predictions give [0, 0].
    """
    if min(only_a, only_b) < 0 or only_a + only_b > n or n < 1:
        raise InputError(f"{only_a} and {only_b} images can't be parts of {n}; give counts.")
    if only_a + only_b == 0:
        return Interval(0.0, 0.0)
    # A minus B is B minus A with its ends swapped: one search serves both ends.
    z = float(special.ndtri((1 + confidence) / 2))
    return Interval(_tango_low(only_a, only_b, n, z), -_tango_low(only_b, only_a, n, z))


def _tango_low(only_a: int, only_b: int, n: int, z: float) -> float:
    """The smallest difference that the score test with continuity correction lets stand."""

    def excess(difference: float) -> float:
        # The variance at the most likely P(only B is right) given the difference (Tango's eq. 4).
        linear = -only_a - only_b + (2 * n - only_a + only_b) * difference
        constant = -only_b * difference * (1 - difference)
        root = sqrt(max(0.0, linear * linear - 8 * n * constant))
        share_b = (root - linear) / (4 * n)
        variance = n * (2 * share_b + difference * (1 - difference))
        return only_a - only_b - 1 - n * difference - z * sqrt(max(0.0, variance))

    observed = (only_a - only_b) / n  # excess is negative here and falls with the difference
    if excess(-1.0) <= 0:
        return -1.0
    return float(optimize.brentq(excess, -1.0, observed, xtol=1e-12))


def independent_interval(a: float, of_a: Interval, b: float, of_b: Interval) -> Interval:
    """Interval of a - b where each has its own from images of its own.

    Each end takes the squares of the two distances that lead there (Newcombe 1998, Statistics in
    Medicine 17:873-890, method 10, for Wilson's intervals; Zou and Donner 2008, 27:1693-1702, for
    any).
    """
    below, above = hypot(a - of_a.low, of_b.high - b), hypot(of_a.high - a, b - of_b.low)
    return Interval(a - b - below, a - b + above)


def integer_variance(values: NDArray[np.int64]) -> float:
    """Unbiased variance of whole numbers, exact: no spread gives 0, in any order the same."""
    n, total, squares = len(values), int(values.sum()), int(values @ values)
    return (n * squares - total * total) / (n * (n - 1))


def seed_variance(correct: NDArray[np.bool_]) -> float:
    """Unbiased variance over seeds of the accuracy; 0 for one seed. `correct` is (seeds, n)."""
    seeds, n = correct.shape
    return integer_variance(correct.sum(axis=1, dtype=np.int64)) / n**2 if seeds > 1 else 0.0


def check_correct(correct: NDArray[np.bool_]) -> None:
    """Raise InputError unless `correct` is a bool array (seeds >= 1, n >= 1)."""
    if correct.ndim != 2 or correct.dtype != np.bool_ or 0 in correct.shape:
        raise InputError(
            f"correctness is {correct.dtype} of shape {correct.shape}; give a bool array "
            "(seeds, images) with at least one seed and one image."
        )
