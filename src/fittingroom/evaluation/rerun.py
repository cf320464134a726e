"""Where one more run of a recipe would come out, on the same images or on others."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fittingroom.evaluation.intervals import CONFIDENCE, Interval
from fittingroom.evaluation.normal_mixture import NormalMixture
from fittingroom.evaluation.seed_spread import SeedSpread

#: Standard deviation of an accuracy over re-runs that is assumed at least: other versions and other
#: machines move it too.
LEAST_SD = 0.001


def rerun_interval(
    mean: float,
    seeds: int,
    spread: SeedSpread,
    *,
    draw: float = 0.0,
    alpha: float = 1 - CONFIDENCE,
) -> Interval:
    """Where the accuracy of one more run lies, but for a probability of `alpha`.

    The prediction interval of one more observation (Hahn and Meeker 1991, "Statistical Intervals",
    section 4.7): its variance is σ² (1 + 1 / seeds), σ a distribution (`seed_spreads`) and at least
    0.001.

    Parameters
    ----------
    mean, seeds : of the runs that there are
    spread : of the recipe over seeds; `NO_SPREAD` where it is deterministic
    draw : variance of the difference that other images make, see `redrawn`; 0 where the one more
        run is measured on the same images
    """
    half = NormalMixture.of(draw, [spread.of_rerun(seeds, LEAST_SD)]).half_width(alpha)
    return Interval(max(mean - half, 0.0), min(mean + half, 1.0))


def rerun_difference_interval(
    difference: float,
    runs: Sequence[tuple[int, SeedSpread]],
    *,
    draw: float = 0.0,
    alpha: float = 1 - CONFIDENCE,
) -> Interval:
    """The same of one more difference of two recipes, each with its seeds and its spread."""
    error = NormalMixture.of(draw, [spread.of_rerun(seeds, LEAST_SD) for seeds, spread in runs])
    half = error.half_width(alpha)
    return Interval(max(difference - half, -1.0), min(difference + half, 1.0))


def redrawn(images: int, others: int, pool: float = math.inf) -> float:
    """Variance of a mean over some images minus the mean over others, by that of the former alone.

    Parameters
    ----------
    images, others : how many were drawn
    pool : of how many images both were drawn independently, so that they share some; infinite where
        they share none
    """
    return max(0.0, 1 + images / others - 2 * images / pool)
