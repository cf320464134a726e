"""correctness.py: variances by hand, against NumPy and by simulation."""

import numpy as np
import pytest

from fittingroom.evaluation.correctness import integer_variance, mean_variance, seed_variance


def test_variances_are_unbiased() -> None:
    values = np.random.default_rng(0).integers(-5, 9, 40)
    assert integer_variance(values) == pytest.approx(values.var(ddof=1))
    variance, drawn = mean_variance(values)
    assert variance == pytest.approx(values.var(ddof=1) / 40)
    assert drawn == 40
    correct = np.random.default_rng(1).random((4, 50)) < 0.7
    assert seed_variance(correct) == pytest.approx(correct.mean(axis=1).var(ddof=1))
    assert seed_variance(correct[:1]) == 0.0
    assert mean_variance(values[:1]) == (0.0, 1)


def test_without_copies_each_image_is_a_group() -> None:
    values = np.random.default_rng(0).integers(-5, 9, 40)
    variance, drawn = mean_variance(values, np.arange(40) + 7)
    assert variance == pytest.approx(values.var(ddof=1) / 40)
    assert drawn == 40


def test_copies_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 6, 300)
    copies = np.repeat(np.arange(300), sizes)
    means, variances = [], []
    for _ in range(400):
        values = np.repeat(rng.integers(0, 10, 300), sizes)
        means.append(values.mean())
        variance, drawn = mean_variance(values, copies)
        variances.append(variance)
        assert drawn == 300
    assert np.mean(variances) == pytest.approx(np.var(means), rel=0.15)
    assert mean_variance(np.array([1, 1, 0]), np.zeros(3, int)) == (0.0, 1)
