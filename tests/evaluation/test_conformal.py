"""conformal.py: the promised share of sets holds the true class."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fittingroom.errors import InputError
from fittingroom.evaluation.conformal import (
    conformal_quantile,
    conformal_threshold,
    prediction_sets,
)


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 5) and labels that follow them."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(5, 0.4), n).astype(np.float32)
    labels = np.array([rng.choice(5, p=p / p.sum()) for p in probabilities.astype(float)])
    return probabilities, labels


def test_the_quantile_is_the_score_at_its_place() -> None:
    probabilities, labels = drawn(99, 0)
    scores = np.sort(1 - probabilities[np.arange(99), labels].astype(float))
    for coverage in (0.5, 0.9, 0.99):
        place = math.ceil(100 * coverage)
        assert conformal_quantile(probabilities, labels, coverage) == scores[place - 1]


def test_the_threshold_is_the_score_at_its_place() -> None:
    scores = np.random.default_rng(0).permutation(199) / 200
    assert conformal_threshold(scores, 0.9) == 179 / 200  # the 180th smallest
    assert conformal_threshold(scores[:5], 0.99) == 1  # too few to promise anything


def test_few_new_scores_are_above_the_threshold() -> None:
    rng = np.random.default_rng(0)
    above = [
        np.mean(rng.beta(1, 5, 400) > conformal_threshold(rng.beta(1, 5, 500), 0.95))
        for _ in range(60)
    ]
    assert 0.04 < np.mean(above) < 0.055


@pytest.mark.parametrize("coverage", [0.7, 0.9])
def test_the_sets_cover_what_they_promise(coverage: float) -> None:
    covered = []
    for seed in range(40):
        quantile = conformal_quantile(*drawn(300, seed), coverage)
        probabilities, labels = drawn(300, 1000 + seed)
        sets = prediction_sets(probabilities, quantile)
        covered.append(sets[np.arange(300), labels].mean())
    assert coverage - 0.01 < np.mean(covered) < coverage + 0.03


def test_too_few_images_let_every_class_in() -> None:
    probabilities, labels = drawn(8, 0)
    assert conformal_quantile(probabilities, labels, 0.9) == 1
    assert prediction_sets(probabilities, 1.0).all()


def test_no_set_is_empty() -> None:
    probabilities = np.array([[0.4, 0.35, 0.25], [0.99, 0.01, 0.0]])
    sets = prediction_sets(probabilities, 0.05)
    np.testing.assert_array_equal(sets, [[True, False, False], [True, False, False]])


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1, 2])
def test_a_coverage_that_makes_no_sense(coverage: float) -> None:
    with pytest.raises(InputError, match="makes no sense"):
        conformal_quantile(np.eye(3), np.arange(3), coverage)


def test_no_scores() -> None:
    with pytest.raises(InputError, match="makes no sense"):
        conformal_threshold(np.zeros(0), 0.9)
