"""Confidence intervals of proportions and of their differences."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, sqrt

from scipy import optimize, special

from fittingroom.errors import InputError

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A closed interval; `value in interval` tests whether a value lies in it."""

    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float]:
        return (self.low, self.high)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def to_dict(self) -> dict[str, float]:
        return {"low": self.low, "high": self.high}


def wilson(successes: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22:209-212).

    Parameters
    ----------
    successes, n : counts, or an effective sample size and the same share of it

    Raises
    ------
    InputError : unless 0 <= successes <= n and n >= 1
    """
    if n < 1 or not 0 <= successes <= n:
        raise InputError(
            f"{successes} successes of {n} is not a proportion; give 0 <= successes <= n, n >= 1."
        )
    # scipy.stats.binomtest(k, n).proportion_ci(method="wilson") takes 360 µs instead of 3, refuses
    # fractions, which `accuracy_interval` passes, and differs in the last bit.
    z = float(special.ndtri((1 + confidence) / 2))
    share = successes / n
    center = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # For 0 and n successes the ends are exactly 0 and 1, in spite of rounding.
    low = 0.0 if successes == 0 else max(0.0, center - half)
    high = 1.0 if successes == n else min(1.0, center + half)
    return Interval(low, high)


def paired_interval(only_a: int, only_b: int, n: int, *, exact: bool = True) -> Interval:
    """The 95% interval of the difference between two accuracies on the same n images, A minus B.

    Tango's score interval (1998, Statistics in Medicine 17:891-908).

    Parameters
    ----------
    only_a, only_b : images that only A, and only B, classifies correctly; if both are 0 the
        interval is [0, 0]
    n : all images
    exact : apply the continuity correction of McNemar's test (Edwards 1948, Psychometrika
        13:185-187), so that the interval excludes 0 when the exact test is significant; without
        it, when the mid-p test is

    Raises
    ------
    InputError : the counts are negative, or more than n
    """
    if min(only_a, only_b) < 0 or only_a + only_b > n or n < 1:
        raise InputError(f"counts of {only_a} and {only_b} don't fit into {n} images.")
    if only_a + only_b == 0:
        return Interval(0.0, 0.0)
    # The interval of B minus A has the ends swapped and negated, so one search serves both.
    z, correction = float(special.ndtri((1 + CONFIDENCE) / 2)), int(exact)
    return Interval(
        _tango_low(only_a, only_b, n, z, correction), -_tango_low(only_b, only_a, n, z, correction)
    )


def _tango_low(only_a: int, only_b: int, n: int, z: float, correction: int) -> float:
    """The smallest difference that the score test doesn't reject, given a continuity correction."""

    def excess(difference: float) -> float:
        # The variance at the most likely P(only B is right) given the difference (Tango's eq. 4).
        linear = -only_a - only_b + (2 * n - only_a + only_b) * difference
        constant = -only_b * difference * (1 - difference)
        root = sqrt(max(0.0, linear * linear - 8 * n * constant))
        share_b = (root - linear) / (4 * n)
        variance = n * (2 * share_b + difference * (1 - difference))
        return only_a - only_b - correction - n * difference - z * sqrt(max(0.0, variance))

    observed = (only_a - only_b) / n  # excess is negative here, and falls with the difference
    if excess(-1.0) <= 0:
        return -1.0
    return float(optimize.brentq(excess, -1.0, observed, xtol=1e-12))


def independent_interval(a: float, of_a: Interval, b: float, of_b: Interval) -> Interval:
    """The interval of a - b for independent estimates, each with its interval.

    The distances from the estimates to the ends of their intervals add in quadrature (Newcombe
    1998, Statistics in Medicine 17:873-890, method 10, for Wilson's intervals; Zou and Donner 2008,
    27:1693-1702, for any).
    """
    below, above = hypot(a - of_a.low, of_b.high - b), hypot(of_a.high - a, b - of_b.low)
    return Interval(a - b - below, a - b + above)
