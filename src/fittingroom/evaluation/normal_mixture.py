"""Normal errors whose variance isn't known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import starmap
from math import inf, pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

Floats = NDArray[np.float64]

#: Twice the density of a standard normal variable at 0.
_TWICE_DENSITY = sqrt(2 / pi)
#: The largest number of variances in a mixture, evenly spaced on a logarithmic scale.
_BINS = 200


@dataclass(frozen=True, eq=False)
class NormalMixture:
    """A mixture of normal distributions with mean 0, (k,) variances and (k,) weights.

    Student's t is such a mixture, with inverse chi-squared variances; so is the Behrens-Fisher
    distribution (Kim and Cohen 1998, Journal of Educational and Behavioral Statistics 23:356-377),
    that of the sum of two such errors.
    """

    variances: Floats
    weights: Floats

    @classmethod
    def of(cls, certain: float, parts: Sequence[tuple[Floats, Floats]]) -> NormalMixture:
        """The distribution of a sum of independent errors.

        Parameters
        ----------
        certain : the known variance of a normal error
        parts : mixtures to add to it: variances and weights, both (k,)
        """
        variances, weights = np.array([certain]), np.ones(1)
        for part_variances, part_weights in starmap(_merge, parts):
            variances, weights = _merge(
                np.add.outer(variances, part_variances).ravel(),
                np.outer(weights, part_weights).ravel(),
            )
        return cls(variances, weights)

    @property
    def standard_error(self) -> float:
        """The scale of Student's t with the same precision: √(1 / mean of 1 / variance)."""
        if self.variances[0] == 0:
            return 0.0
        return 1 / sqrt(float(self.weights @ (1 / self.variances)))

    @cached_property
    def _inverse_sds(self) -> tuple[Floats, Floats]:
        """1 / standard deviation and weight of each component with a variance above 0."""
        positive = self.variances > 0
        return 1 / np.sqrt(self.variances[positive]), self.weights[positive]

    def tail(self, distance: float) -> float:
        """The probability of an error of at least this size, in either direction."""
        if distance == 0:
            return 1.0
        scales, weights = self._inverse_sds
        return float(2 * (weights @ special.ndtr(-abs(distance) * scales)))

    def half_width(self, tail: float) -> float:
        """The size that an error in either direction exceeds with probability `tail`.

        By Newton's method: the tail is convex, so after the first step it converges from one side.
        """
        scales, weights = self._inverse_sds
        if weights.sum() <= tail:
            return 0.0
        width = -float(special.ndtri(tail / 2)) / sqrt(float(weights @ scales**2))
        while True:
            slope = float(weights @ (scales * np.exp(-((width * scales) ** 2) / 2)))
            # Where the density underflows to 0 the width is far too large.
            step = (self.tail(width) - tail) / (slope * _TWICE_DENSITY) if slope else -width
            width = max(width + step, width / 10)
            if abs(step) <= 1e-7 * width:  # convergence is quadratic: the rest is rounding
                return width

    def degrees_of_freedom(self, tail: float) -> float:
        """Those of Student's t with the same standard error and half width; at least 1."""
        if self.standard_error == 0:
            return inf
        ratio = self.half_width(tail) / self.standard_error
        if ratio <= -special.ndtri(tail / 2) * (1 + 1e-4):
            return inf
        if ratio >= special.stdtrit(1.0, 1 - tail / 2):
            return 1.0
        # scipy.special.stdtridf is faster (5 µs instead of 130), but accurate to ten digits only.
        return float(
            optimize.brentq(lambda df: special.stdtrit(df, 1 - tail / 2) - ratio, 1.0, 1e6)
        )


def _merge(variances: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Merge variances within a few per cent of one another, so that at most `_BINS` remain."""
    if len(variances) <= _BINS:
        return variances, weights
    logs = np.log(np.maximum(variances, 1e-300))
    low, high = logs.min(), logs.max()
    bins = np.minimum(((logs - low) * (_BINS / max(high - low, 1e-300))).astype(int), _BINS - 1)
    total = np.bincount(bins, weights, minlength=_BINS)
    filled = total > 0
    means: Floats = np.bincount(bins, weights * variances, minlength=_BINS)[filled] / total[filled]
    return means, np.asarray(total[filled], np.float64)
