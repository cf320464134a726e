from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fittingroom.evaluation.rerun import redraw_variance, rerun_difference_interval, rerun_interval
from fittingroom.evaluation.seed_spread import NO_SPREAD, SeedSpread, SeedVariance, seed_spreads


def known_spread(sd: float) -> SeedSpread:
    return SeedSpread(np.array([sd]), np.ones(1))


def by_own_seeds(accuracies: Sequence[float] | NDArray[np.float64]) -> SeedSpread:
    variance = SeedVariance(float(np.var(accuracies, ddof=1)), len(accuracies) - 1, 0.0)
    (spread,) = seed_spreads([variance])
    assert spread is not None
    return spread


def test_a_rerun_of_a_known_spread_follows_students_t() -> None:
    """Single fits follow Student's t with 7 degrees of freedom, whose 97.5% point is 2.36462."""
    interval = rerun_interval(0.9, 10**9, known_spread(0.01))
    assert interval.bounds == pytest.approx((0.9 - 0.0236462, 0.9 + 0.0236462), abs=5e-5)


def test_a_rerun_varies_by_at_least_a_thousandth() -> None:
    interval = rerun_interval(0.9, 10**9, known_spread(1e-4))
    assert interval.bounds == pytest.approx((0.9 - 0.00236462, 0.9 + 0.00236462), abs=5e-6)
    fixed = rerun_interval(0.9, 1, NO_SPREAD)
    half = 0.00195996 * np.sqrt(2)  # both machines differ from ours on average
    assert fixed.bounds == pytest.approx((0.9 - half, 0.9 + half), rel=1e-5)


def test_the_interval_stays_between_0_and_1() -> None:
    assert rerun_interval(0.99, 3, known_spread(0.1)).high == 1
    assert rerun_interval(0.01, 3, known_spread(0.1)).low == 0
    assert rerun_difference_interval(0.9, [(3, known_spread(0.3))] * 2).high == 1
    assert rerun_difference_interval(-0.9, [(3, known_spread(0.3))] * 2).low == -1


def test_the_difference_between_two_deterministic_models_varies_by_the_least_spread() -> None:
    interval = rerun_difference_interval(0.02, [(1, NO_SPREAD)] * 2)
    half = 1.959964 * np.sqrt(4) * 0.001
    assert interval.bounds == pytest.approx((0.02 - half, 0.02 + half), rel=1e-5)


def test_fewer_seeds_and_more_claims_widen_the_interval() -> None:
    def width(**changes: Any) -> float:
        arguments = {"mean": 0.9, "n_seeds": 5, "spread": known_spread(0.01), **changes}
        interval = rerun_interval(**arguments)
        return interval.high - interval.low

    assert width(n_seeds=2) / width() == pytest.approx(np.sqrt(1.5 / 1.2), rel=0.05)
    assert width(alpha=0.002) > 1.5 * width()
    normal = rerun_interval(0.9, 1, NO_SPREAD, draw=0.01**2)
    half = 1.959964 * np.sqrt(0.01**2 + 2 * 0.001**2)
    assert normal.bounds == pytest.approx((0.9 - half, 0.9 + half), rel=1e-5)


def test_a_run_and_the_only_one_before_it_may_both_be_outliers() -> None:
    """The difference of two independent Student's t with 7 degrees of freedom."""
    rng = np.random.default_rng(0)
    apart = np.abs(rng.standard_t(7, 400_000) - rng.standard_t(7, 400_000))
    for alpha in (0.05, 0.005):
        interval = rerun_interval(0.5, 1, known_spread(0.01), alpha=alpha)
        assert interval.high - 0.5 == pytest.approx(0.01 * np.quantile(apart, 1 - alpha), rel=0.01)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_rerun_interval_covers(seeds: int) -> None:
    rng = np.random.default_rng(0)
    drawn = 0.9 + 0.005 * rng.standard_normal((400, seeds + 1))
    hits = [
        last in rerun_interval(np.mean(first), seeds, by_own_seeds(first)) for *first, last in drawn
    ]
    assert np.mean(hits) > 0.935, "95%, less two standard errors of 400 simulations"


def test_the_interval_of_one_more_difference_covers() -> None:
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(300):
        a, b = 0.9 + 0.003 * rng.standard_normal(6), 0.895 + 0.006 * rng.standard_normal(6)
        spreads = [(5, by_own_seeds(accuracies[:5])) for accuracies in (a, b)]
        interval = rerun_difference_interval(float(np.mean(a[:5]) - np.mean(b[:5])), spreads)
        hits.append(a[5] - b[5] in interval)
    assert np.mean(hits) > 0.93


def test_the_variance_of_two_draws_is_that_of_a_simulation() -> None:
    rng = np.random.default_rng(0)
    pool = rng.random(7000) < 0.86
    gaps = [
        rng.choice(pool, 1000, replace=False).mean() - rng.choice(pool, 1400, replace=False).mean()
        for _ in range(4000)
    ]
    of_one = pool.mean() * (1 - pool.mean()) / 1000
    assert np.var(gaps) == pytest.approx(of_one * redraw_variance(1000, 1400, 7000), rel=0.07)
    assert redraw_variance(1000, 1400) == pytest.approx(1 + 1000 / 1400)
    assert redraw_variance(7000, 7000, 7000) == 0
