"""Prediction intervals of one more run of a recipe, on the same images or on others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fittingroom.evaluation.intervals import CONFIDENCE, Interval
from fittingroom.evaluation.normal_mixture import NormalMixture
from fittingroom.evaluation.seed_spread import SeedSpread

#: The least standard deviation of an accuracy over re-runs: other versions of the software and
#: other machines change it too.
MIN_SD = 0.001


def rerun_interval(
    mean: float,
    n_seeds: int,
    spread: SeedSpread,
    *,
    draw: float = 0.0,
    alpha: float = 1 - CONFIDENCE,
) -> Interval:
    """The interval outside which the accuracy of one more run lies with probability `alpha`.

    The prediction interval of one more observation (Hahn and Meeker 1991, "Statistical Intervals",
    section 4.7). The variance is σ² (1 + 1 / n_seeds), where σ is a distribution
    (`seed_spreads`) and at least 0.001.

    Parameters
    ----------
    mean : the mean accuracy of the existing runs
    n_seeds : the number of existing runs
    spread : of the recipe over seeds; `NO_SPREAD` if it is deterministic
    draw : the variance of the difference that other images make, see `redraw_variance`; 0 if the
        new run is measured on the same images
    """
    half_width = NormalMixture.of(draw, [spread.of_rerun(n_seeds, MIN_SD)]).half_width(alpha)
    return Interval(max(mean - half_width, 0.0), min(mean + half_width, 1.0))


def rerun_difference_interval(
    difference: float,
    runs: Sequence[tuple[int, SeedSpread]],
    *,
    draw: float = 0.0,
    alpha: float = 1 - CONFIDENCE,
) -> Interval:
    """As `rerun_interval`, for the difference between one more run of each of two recipes.

    `runs` are the number of seeds and the spread of each.
    """
    error = NormalMixture.of(draw, [spread.of_rerun(n_seeds, MIN_SD) for n_seeds, spread in runs])
    half_width = error.half_width(alpha)
    return Interval(max(difference - half_width, -1.0), min(difference + half_width, 1.0))


def redraw_variance(images: int, others: int, pool: float = math.inf) -> float:
    """The variance of the difference between two means over images, relative to the first's.

    Parameters
    ----------
    images, others : the number of images in the first and in the second draw
    pool : the number of images that both were drawn from independently, so that they share some;
        infinite if they share none
    """
    return max(0.0, 1 + images / others - 2 * images / pool)
