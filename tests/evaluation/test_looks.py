"""looks.py: levels by hand, and how often repeated looks mislead."""

import numpy as np
import pytest
from scipy import special

from fittingroom.evaluation.looks import Look, level, sequential_p

IMAGES, SEEDS = 0.05, 0.24  # variances of a difference


def look(seeds: float) -> Look:
    return Look((seeds, seeds), IMAGES + SEEDS / seeds)


def test_the_first_look_has_most_of_alpha() -> None:
    assert level([look(1)], 0.05) == pytest.approx(0.025)
    assert level([look(3)], 0.05) == pytest.approx(0.05 * 5 / 6)
    assert level([Look((3, np.inf), 1.0)], 0.05) == pytest.approx(0.05 * 11 / 12)
    assert level([Look((np.inf, np.inf), 1.0)], 0.05) == 0.05
    assert sequential_p(0.01, [look(3)]) == pytest.approx(0.012)
    assert sequential_p(1.0, [look(3)]) == 1.0


@pytest.mark.parametrize("seeds", [[3, 10], [3, 5, 10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]])
def test_repeated_looks_seldom_mislead(seeds: list[int]) -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(0, IMAGES**0.5, 40_000)
    fits = rng.normal(0, SEEDS**0.5, (40_000, seeds[-1]))
    ever, naively = np.zeros(40_000, bool), np.zeros(40_000, bool)
    for number, n in enumerate(seeds):
        latest = look(n)
        difference = images + fits[:, :n].mean(axis=1)
        p = 2 * special.ndtr(-abs(difference) / latest.variance**0.5)
        ever |= p <= level([look(s) for s in seeds[: number + 1]], 0.05)
        naively |= p <= 0.05
    assert naively.mean() > 0.07
    assert 0.04 < ever.mean() <= 0.05


def test_later_looks_use_what_is_left() -> None:
    seeds = [3, 5, 7, 9]
    levels = [level([look(s) for s in seeds[: k + 1]], 0.05) for k in range(4)]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] > 0
    # Looks at nearly the same fits nearly always agree, so that little is used up.
    alike = [Look((3, 3), 1.0), Look((4, 4), 0.9999)]
    assert level(alike, 0.05) > 0.04
    assert level([Look((3, 3), 1.0), Look((4, 4), 1.0)], 0.05) == pytest.approx(0.05 * 7 / 8)


@pytest.mark.parametrize("p", [1e-12, 1e-4, 0.01, 0.2])
def test_p_is_the_alpha_at_which_the_look_decides(p: float) -> None:
    looks = [look(3), look(10)]
    alpha = sequential_p(p, looks)
    assert p < alpha < 1
    if alpha > 1e-9:
        assert level(looks, alpha) == pytest.approx(p, rel=0.02)
    assert sequential_p(0.0, looks) == 0.0
    assert sequential_p(0.999999, looks) == 1.0
