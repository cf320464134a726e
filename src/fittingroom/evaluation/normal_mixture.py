"""An error that is normal, but of a variance that isn't known exactly."""

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

#: Twice the density of a standard normal variable at zero.
_TWICE_DENSITY = sqrt(2 / pi)
#: Variances that a mixture tells apart, evenly on a logarithmic scale.
_BINS = 200


@dataclass(frozen=True, eq=False)
class NormalMixture:
    """A distribution around zero: normal for each of the (k,) variances, mixed by the weights.

    Student's t is one, with variances that are inversely chi-squared; so is the distribution of
    Behrens and Fisher (Kim and Cohen 1998, Journal of Educational and Behavioral Statistics
    23:356-377), of a sum of two such errors.
    """

    variances: Floats
    weights: Floats

    @classmethod
    def of(cls, certain: float, parts: Sequence[tuple[Floats, Floats]]) -> NormalMixture:
        """The sum of a normal error of `certain` variance and of mixtures, independent of it.

        Each part is its variances and their weights, both (k,).
        """
        variances, weights = np.array([certain]), np.ones(1)
        for more, of_more in starmap(_binned, parts):
            variances, weights = _binned(
                np.add.outer(variances, more).ravel(), np.outer(weights, of_more).ravel()
            )
        return cls(variances, weights)

    @property
    def standard_error(self) -> float:
        """Scale of the Student's t with this precision: the root of 1 / mean of 1 / variance."""
        if self.variances[0] == 0:
            return 0.0
        return 1 / sqrt(float(self.weights @ (1 / self.variances)))

    @cached_property
    def _uncertain(self) -> tuple[Floats, Floats]:
        """1 / standard deviation of what isn't certain, and its weights."""
        uncertain = self.variances > 0
        return 1 / np.sqrt(self.variances[uncertain]), self.weights[uncertain]

    def tail(self, distance: float) -> float:
        """Probability of an error of at least that size, of either sign."""
        if distance == 0:
            return 1.0
        scales, weights = self._uncertain
        return float(2 * (weights @ special.ndtr(-abs(distance) * scales)))

    def half_width(self, tail: float) -> float:
        """The size that an error exceeds with probability `tail`, of either sign.

        By Newton's steps: the tail is convex, so after the first they come from one side.
        """
        scales, weights = self._uncertain
        if weights.sum() <= tail:
            return 0.0
        width = -float(special.ndtri(tail / 2)) / sqrt(float(weights @ scales**2))
        while True:
            slope = float(weights @ (scales * np.exp(-((width * scales) ** 2) / 2)))
            # Where nothing is left of the density the width is far too wide.
            step = (self.tail(width) - tail) / (slope * _TWICE_DENSITY) if slope else -width
            width = max(width + step, width / 10)
            if abs(step) <= 1e-7 * width:  # so the next one is of the order of rounding
                return width

    def degrees_of_freedom(self, tail: float) -> float:
        """Of the Student's t with the same standard error and half width; at least 1."""
        if self.standard_error == 0:
            return inf
        ratio = self.half_width(tail) / self.standard_error
        if ratio <= -special.ndtri(tail / 2) * (1 + 1e-4):
            return inf
        if ratio >= special.stdtrit(1.0, 1 - tail / 2):
            return 1.0
        # scipy.special.stdtridf is faster (5 µs instead of 130), but right to ten digits only.
        return float(
            optimize.brentq(lambda df: special.stdtrit(df, 1 - tail / 2) - ratio, 1.0, 1e6)
        )


def _binned(variances: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Not more than `_BINS` variances; each stands for those that are within a few per cent."""
    if len(variances) <= _BINS:
        return variances, weights
    logs = np.log(np.maximum(variances, 1e-300))
    low, high = logs.min(), logs.max()
    bins = np.minimum(((logs - low) * (_BINS / max(high - low, 1e-300))).astype(int), _BINS - 1)
    total = np.bincount(bins, weights, minlength=_BINS)
    filled = total > 0
    means: Floats = np.bincount(bins, weights * variances, minlength=_BINS)[filled] / total[filled]
    return means, np.asarray(total[filled], np.float64)
