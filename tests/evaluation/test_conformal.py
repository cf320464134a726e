"""conformal.py: the promised share of sets contains the true class."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fittingroom.errors import InputError
from fittingroom.evaluation.conformal import (
    class_quantiles,
    conformal_quantile,
    conformal_threshold,
    prediction_sets,
    set_coverage,
)


def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 5) and labels drawn from them."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(5, 0.4), n).astype(np.float32)
    labels = np.array([rng.choice(5, p=p / p.sum()) for p in probabilities.astype(float)])
    return probabilities, labels


def test_the_quantile_is_the_score_at_its_rank() -> None:
    probabilities, labels = draw(99, 0)
    scores = np.sort(1 - probabilities[np.arange(99), labels].astype(float))
    for coverage in (0.5, 0.9, 0.99):
        place = math.ceil(100 * coverage)
        assert conformal_quantile(probabilities, labels, coverage) == scores[place - 1]


def test_the_threshold_is_the_score_at_its_rank() -> None:
    scores = np.random.default_rng(0).permutation(199) / 200
    assert conformal_threshold(scores, 0.9) == 179 / 200  # the 180th smallest
    assert conformal_threshold(scores[:5], 0.99) == 1  # too few to promise anything
    # 0.55 · 100 is 55.00000000000001 in floating point.
    assert conformal_threshold(np.arange(99) / 99, 0.55) == 54 / 99
    many = np.random.default_rng(1).random(5000)
    for share in (0.1, 0.5, 0.9):
        assert conformal_threshold(many, share) == np.sort(many)[math.ceil(5001 * share) - 1]


def test_few_new_scores_exceed_the_threshold() -> None:
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
        quantile = conformal_quantile(*draw(300, seed), coverage)
        probabilities, labels = draw(300, 1000 + seed)
        sets = prediction_sets(probabilities, quantile)
        covered.append(sets[np.arange(300), labels].mean())
    assert coverage - 0.01 < np.mean(covered) < coverage + 0.03


def lopsided(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two of three classes are easy, two thirds of the last are mistaken for the first."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=n)
    logits = 6.0 * np.eye(3)[labels] + rng.normal(0, 1.5, (n, 3))
    logits[(labels == 2) & (rng.random(n) < 2 / 3), 0] += 6
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), labels


def test_one_threshold_fails_the_hardest_class_and_one_per_class_does_not() -> None:
    with_one, with_several = [], []
    for seed in range(40):
        probabilities, labels = lopsided(600, seed)
        new, truth = lopsided(600, 1000 + seed)
        quantile = conformal_quantile(probabilities, labels)
        quantiles = class_quantiles(probabilities, labels)
        assert quantiles is not None
        with_one.append(set_coverage(prediction_sets(new, quantile), truth))
        with_several.append(set_coverage(prediction_sets(new, quantiles), truth))
    assert np.mean([coverage.coverage for coverage in with_one]) == pytest.approx(0.9, abs=0.02)
    assert np.mean([coverage.by_class[2] for coverage in with_one]) < 0.8
    by_class = np.mean([coverage.by_class for coverage in with_several], axis=0)
    assert by_class[2] == pytest.approx(0.9, abs=0.02)
    assert (by_class > 0.89).all(), "the most probable class is in each set, which may be more"
    sizes = [np.mean([cover.mean_size for cover in runs]) for runs in (with_one, with_several)]
    assert sizes[0] < sizes[1]


def test_a_class_with_too_few_images_has_no_threshold_of_its_own() -> None:
    probabilities = np.full((27, 3), 1 / 3)
    labels = np.repeat(np.arange(3), 9)
    assert class_quantiles(probabilities, labels) is not None
    assert class_quantiles(probabilities[1:], labels[1:]) is None


def test_a_class_at_the_threshold_but_for_rounding_is_in_the_set() -> None:
    """Votes of five neighbours at a temperature: rounding doesn't decide a tie at the threshold."""
    rng = np.random.default_rng(0)
    votes = rng.multinomial(5, [0.7, 0.2, 0.1], 500) / 5
    labels = np.array([rng.choice(3, p=vote) for vote in votes])
    exact = prediction_sets(votes, conformal_quantile(votes, labels))
    assert exact[np.arange(500), labels].mean() >= 0.9, "what is at the threshold is in"
    rounded = votes.astype(np.float32)
    np.testing.assert_array_equal(
        exact, prediction_sets(votes, conformal_quantile(rounded, labels))
    )
    np.testing.assert_array_equal(
        exact, prediction_sets(rounded, conformal_quantile(votes, labels))
    )


def test_a_class_less_probable_by_a_thousandth_is_not_in_the_set() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.6, 0.299, 0.101]])
    assert prediction_sets(probabilities, 0.7)[:, 1].tolist() == [True, False]


def test_coverage_is_measured_by_class() -> None:
    sets = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]], bool)
    result = set_coverage(sets, np.array([0, 0, 0, 2]))
    assert result.coverage == 0.75
    assert result.mean_size == 7 / 4
    assert result.to_dict()["by_class"] == [pytest.approx(2 / 3), None, 1.0, None]


def test_with_too_few_images_sets_contain_every_class() -> None:
    probabilities, labels = draw(8, 0)
    assert conformal_quantile(probabilities, labels, 0.9) == 1
    assert prediction_sets(probabilities, 1.0).all()


def test_no_set_is_empty() -> None:
    probabilities = np.array([[0.4, 0.35, 0.25], [0.99, 0.01, 0.0]])
    sets = prediction_sets(probabilities, 0.05)
    np.testing.assert_array_equal(sets, [[True, False, False], [True, False, False]])


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1, 2])
def test_an_invalid_coverage_is_refused(coverage: float) -> None:
    with pytest.raises(InputError, match="is undefined"):
        conformal_quantile(np.eye(3), np.arange(3), coverage)
    with pytest.raises(InputError, match="is undefined"):
        class_quantiles(np.eye(3), np.arange(3), coverage)


def test_no_scores_are_refused() -> None:
    with pytest.raises(InputError, match="is undefined"):
        conformal_threshold(np.zeros(0), 0.9)
    with pytest.raises(InputError, match="is undefined"):
        class_quantiles(np.zeros((0, 3)), np.zeros(0, int))
