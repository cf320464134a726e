"""intervals.py against published figures, SciPy, brute force and simulated coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from fittingroom.errors import InputError
from fittingroom.evaluation.intervals import (
    Interval,
    independent_interval,
    paired_interval,
    wilson,
)
from fittingroom.evaluation.paired_difference import mcnemar


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n).bounds == pytest.approx((low, high), abs=5e-5)


@given(
    st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from([0.8, 0.95, 0.99]),
)
def test_wilson_equals_scipy(counts: tuple[int, ...], confidence: float) -> None:
    successes, n = counts
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    interval = wilson(successes, n, confidence)
    assert interval.bounds == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= interval.low <= successes / n <= interval.high <= 1


@pytest.mark.parametrize(("successes", "n"), [(-1, 10), (11, 10), (0, 0)])
def test_wilson_refuses_what_is_not_a_proportion(successes: int, n: int) -> None:
    with pytest.raises(InputError, match="not a proportion"):
        wilson(successes, n)


def _score(only_a: int, only_b: int, n: int, difference: float) -> float:
    """Tango's score statistic; the constrained likelihood is maximised numerically."""

    def minus_log_likelihood(share_b: float) -> float:
        share_a = share_b + difference
        rest = 1 - share_a - share_b
        cells = [(only_a, share_a), (only_b, share_b), (n - only_a - only_b, rest)]
        return -sum(count * math.log(max(share, 1e-300)) for count, share in cells if count)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    best = optimize.minimize_scalar(
        minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    ).x
    variance = n * (2 * best + difference - difference**2)
    return float((only_a - only_b - n * difference) / np.sqrt(variance))


@pytest.mark.parametrize(
    ("only_a", "only_b", "n"), [(9, 4, 60), (1, 7, 30), (0, 5, 40), (350, 290, 10_000)]
)
def test_ends_of_the_paired_interval_solve_the_score_equation(
    only_a: int, only_b: int, n: int
) -> None:
    interval = paired_interval(only_a, only_b, n)
    spread = {
        end: (only_a - only_b - n * end) / _score(only_a, only_b, n, end) for end in interval.bounds
    }
    observed = only_a - only_b
    low, high = interval.bounds
    assert (observed - 1 - n * low) / spread[low] == pytest.approx(1.959964, rel=1e-4)
    assert (observed + 1 - n * high) / spread[high] == pytest.approx(-1.959964, rel=1e-4)


@given(
    st.integers(1, 500).flatmap(
        lambda n: st.tuples(st.integers(0, n), st.integers(0, n), st.just(n)).filter(
            lambda counts: counts[0] + counts[1] <= n
        )
    )
)
def test_swapping_models_mirrors_the_paired_interval(counts: tuple[int, ...]) -> None:
    only_a, only_b, n = counts
    interval, mirrored = paired_interval(only_a, only_b, n), paired_interval(only_b, only_a, n)
    assert interval.bounds == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-9)
    assert -1 <= interval.low <= (only_a - only_b) / n <= interval.high <= 1


def test_paired_interval_covers() -> None:
    rng = np.random.default_rng(0)
    for share_a, share_b in [(0.03, 0.03), (0.05, 0.01), (0.004, 0.001)]:
        shares = [share_a, share_b, 1 - share_a - share_b]
        drawn = rng.multinomial(1000, shares, size=2000)
        coverage = np.mean(
            [share_a - share_b in paired_interval(int(a), int(b), 1000) for a, b, _ in drawn]
        )
        assert 0.945 <= coverage <= 0.99


def test_identical_predictions_give_an_interval_of_zero_width() -> None:
    assert paired_interval(0, 0, 100) == Interval(0.0, 0.0)


def test_without_its_correction_the_interval_agrees_with_mid_p() -> None:
    disagreements = 0
    for discordant in range(6, 201):
        for only_a in range(discordant // 2):
            significant = mcnemar(only_a, discordant - only_a, mid_p=True) <= 0.05
            interval = paired_interval(only_a, discordant - only_a, 900, exact=False)
            disagreements += (0.0 not in interval) != significant
    assert disagreements <= 60  # of 10,000


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_paired_interval_refuses_impossible_counts(only_a: int, only_b: int, n: int) -> None:
    with pytest.raises(InputError, match="don't fit into"):
        paired_interval(only_a, only_b, n)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:873-890, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ],
)
def test_the_interval_of_an_independent_difference_as_published(
    first: tuple[int, int], second: tuple[int, int], low: float, high: float
) -> None:
    shares = [(count / n, wilson(count, n)) for count, n in (first, second)]
    found = independent_interval(*shares[0], *shares[1])
    assert found.bounds == pytest.approx((low, high), abs=5e-5)
    swapped = independent_interval(*shares[1], *shares[0])
    assert swapped.bounds == pytest.approx((-high, -low), abs=5e-5)
