"""seed_spread.py: variances against NumPy, and how the recipes of a table inform one another."""

import numpy as np
import pytest
from scipy import stats

from fittingroom.evaluation.normal_mixture import NormalMixture
from fittingroom.evaluation.seed_spread import NO_SPREAD, SeedSpread, SeedVariance, seed_spreads


def center(spread: SeedSpread | None) -> float:
    assert spread is not None
    return float(np.exp(spread.weights @ np.log(spread.values)))


def of(sd: float, seeds: int, noise: float = 0.0) -> SeedVariance:
    return SeedVariance(sd**2, seeds - 1, noise)


def test_the_variance_is_estimated_from_fits() -> None:
    correct = np.random.default_rng(0).random((5, 200)) < 0.8
    variance = SeedVariance.of(correct)
    assert variance.variance == pytest.approx(correct.mean(axis=1).var(ddof=1))
    assert variance.degrees_of_freedom == 4
    assert variance.noise == pytest.approx(correct.var(axis=0, ddof=1).mean() / 200)
    assert SeedVariance.of(correct[:1]) == SeedVariance(0.0, 0, 0.0)


def test_two_sources_are_pooled() -> None:
    both = SeedVariance(4.0, 2, 1.0) | SeedVariance(1.0, 4, 0.4)
    assert both.variance == pytest.approx(2.0)
    assert both.degrees_of_freedom == 6
    assert both.noise == pytest.approx(0.6)
    nothing = SeedVariance(0.0, 0, 0.0)
    assert nothing | nothing == nothing
    assert nothing | of(0.1, 4) == of(0.1, 4)


def test_a_recipe_alone_has_the_spread_of_its_own_fits() -> None:
    """Its error then follows Student's t with S - 1 degrees of freedom."""
    (spread,) = seed_spreads([of(0.003, 8)])
    assert spread is not None
    error = NormalMixture.of(0.0, [(spread.values**2, spread.weights)])
    assert error.half_width(0.05) == pytest.approx(0.003 * stats.t.isf(0.025, 7), rel=0.02)
    assert spread.precision_variance == pytest.approx(0.003**2, rel=0.02)


def test_two_recipes_say_little_about_each_other() -> None:
    """The less, the fewer fits one of them has."""

    def pulled(fits: int, others: int) -> float:
        """By how much one beside that is ten times as steady is taken for steadier."""
        alone, *_ = seed_spreads([of(0.003, fits)])
        beside, *_ = seed_spreads([of(0.003, fits), of(0.0003, others)])
        return 1 - center(beside) / center(alone)

    assert 0 < pulled(10, 2) < pulled(2, 10) < 0.01
    assert 0.02 < pulled(3, 3) < pulled(10, 10) < 0.04


def test_many_similar_recipes_shrink_a_chance_result() -> None:
    many = [of(sd, 3) for sd in stats.chi2.ppf(np.linspace(0.05, 0.95, 19), 2) ** 0.5 * 0.002]
    lucky, unlucky = of(0.0002, 3), of(0.006, 3)
    *_, drawn = seed_spreads([*many, lucky])
    assert 0.0012 < center(drawn) < 0.004
    *_, drawn = seed_spreads([*many, unlucky])
    assert 0.002 < center(drawn) < 0.006
    *_, drawn = seed_spreads([*many, of(0.02, 30)])  # thirty fits aren't luck
    assert center(drawn) == pytest.approx(0.02, rel=0.2)


def test_dissimilar_recipes_hardly_shrink() -> None:
    many = [of(sd, 10) for sd in np.geomspace(0.0003, 0.03, 12)]
    spreads = seed_spreads(many)
    for variance, spread in zip(many, spreads, strict=True):
        assert center(spread) == pytest.approx(variance.variance**0.5, rel=0.25)


def test_the_noise_of_images_is_a_lower_bound() -> None:
    (spread,) = seed_spreads([of(0.0, 3, noise=0.001**2)])
    assert spread is not None
    assert spread.values.min() > 0.00095
    assert center(spread) < 0.003


def test_three_others_inform_about_a_single_fit() -> None:
    single = SeedVariance(0.0, 0, 0.0)
    assert seed_spreads([single]) == [None]
    assert seed_spreads([single, of(0.002, 5)])[0] is None
    assert seed_spreads([single, of(0.002, 5), of(0.003, 5)])[0] is None
    few, *_ = seed_spreads([single, of(0.002, 5), of(0.003, 5), of(0.002, 5)])
    many, *_ = seed_spreads([single, *[of(0.002, 5), of(0.003, 5)] * 5])
    assert 0.0015 < center(many) < 0.005

    def width(spread: SeedSpread | None) -> float:
        assert spread is not None
        squares = np.log(spread.values) ** 2
        return float(np.sqrt(spread.weights @ squares - np.log(center(spread)) ** 2))

    assert width(few) > 1.2 * width(many)


def test_weights_are_weights() -> None:
    for spread in (NO_SPREAD, *seed_spreads([of(0.0, 4), of(0.4, 2), of(0.001, 100)])):
        assert spread is not None
        assert spread.weights.sum() == pytest.approx(1)
        assert (spread.weights >= 0).all()
    assert NO_SPREAD.precision_variance == 0.0
