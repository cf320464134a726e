"""normal_mixture.py against SciPy's normal, Student's t, and sums drawn at random."""

import numpy as np
import pytest
from scipy import stats

from fittingroom.evaluation.normal_mixture import NormalMixture


def student(df: float, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Equally weighted variances whose mixture is Student's t."""
    chances = (np.arange(4000) + 0.5) / 4000
    return scale**2 * df / stats.chi2.ppf(chances, df), np.full(4000, 1 / 4000)


def test_a_known_variance_gives_a_normal_error() -> None:
    error = NormalMixture.of(4.0, [])
    assert error.tail(3.0) == pytest.approx(2 * stats.norm.sf(1.5))
    assert error.half_width(0.05) == pytest.approx(2 * 1.959964)
    assert error.standard_error == 2.0
    assert error.degrees_of_freedom(0.05) == np.inf


@pytest.mark.parametrize("df", [3.0, 7.0, 40.0])
def test_inverse_chi_squared_variances_give_students_t(df: float) -> None:
    error = NormalMixture.of(0.0, [student(df, 0.3)])
    for distance in (0.1, 0.5, 1.0):
        expected = 2 * stats.t.sf(distance / 0.3, df)
        assert error.tail(distance) == pytest.approx(expected, rel=0.03)
    assert error.half_width(0.05) == pytest.approx(0.3 * stats.t.isf(0.025, df), rel=0.01)
    assert error.standard_error == pytest.approx(0.3, rel=0.01)
    assert error.degrees_of_freedom(0.05) == pytest.approx(df, rel=0.1)


def test_a_sum_is_that_of_its_parts() -> None:
    rng = np.random.default_rng(0)
    error = NormalMixture.of(0.5, [student(4.0, 0.6), student(9.0, 1.1)])
    drawn = (
        rng.normal(0, 0.5**0.5, 400_000)
        + 0.6 * rng.standard_t(4, 400_000)
        + 1.1 * rng.standard_t(9, 400_000)
    )
    for distance in (0.5, 2.0, 5.0):
        assert error.tail(distance) == pytest.approx((abs(drawn) >= distance).mean(), rel=0.05)
    assert error.half_width(0.05) == pytest.approx(np.quantile(abs(drawn), 0.95), rel=0.02)
    assert error.weights.sum() == pytest.approx(1)
    assert len(error.weights) <= 200


def test_no_error_at_all() -> None:
    error = NormalMixture.of(0.0, [])
    assert error.tail(0.0) == 1.0
    assert error.tail(0.1) == 0.0
    assert error.half_width(0.05) == error.standard_error == 0.0
    assert error.degrees_of_freedom(0.05) == np.inf


def test_there_is_at_least_one_degree_of_freedom() -> None:
    error = NormalMixture(np.geomspace(1e-6, 1, 50), np.full(50, 0.02))
    assert error.degrees_of_freedom(0.05) == 1.0
