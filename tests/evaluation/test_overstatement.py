from __future__ import annotations

import numpy as np
import pytest

from fittingroom.errors import InputError
from fittingroom.evaluation.overstatement import overstatement


def simulate(accuracies: list[float], n: int, seed: int) -> np.ndarray:
    random = np.random.RandomState(seed)
    return random.rand(len(accuracies), n) < np.array(accuracies)[:, None]


def test_the_best_of_equals_is_overstated_and_the_correction_is_accurate() -> None:
    results = [overstatement(simulate([0.9] * 50, 1000, s), bootstraps=200) for s in range(20)]
    observed = np.mean([result.observed for result in results])
    expected = np.mean([result.expected for result in results])
    assert observed > 0.9 + 0.018  # the best of 50 draws is 2.2 standard errors of 0.0095 above
    assert abs(expected - 0.9) < 0.003
    overstated = np.mean([result.overstated for result in results])
    assert overstated == pytest.approx(observed - expected)
    assert sum(0.9 in result.interval for result in results) >= 18


def test_a_winner_by_far_is_not_overstated() -> None:
    result = overstatement(simulate([0.7, 0.95, 0.7, 0.6], 3000, 0))
    assert result.winner == 1
    assert (result.models, result.images) == (4, 3000)
    assert abs(result.overstated) < 0.0005
    assert result.expected in result.interval


def test_a_single_model_is_not_overstated() -> None:
    result = overstatement(simulate([0.8], 2000, 1))
    assert abs(result.overstated) < 0.001


def test_of_equals_the_first_wins() -> None:
    row = simulate([0.8], 100, 2)
    assert overstatement(np.vstack([~row, row, row])).winner == 1


def test_the_same_seed_gives_the_same_result() -> None:
    correct = simulate([0.8, 0.82], 300, 3)
    assert overstatement(correct) == overstatement(correct)
    assert overstatement(correct) != overstatement(correct, seed=1)


def test_few_images_do_not_divide_by_zero() -> None:
    assert 0 <= overstatement(np.array([[True, False], [True, True]])).expected <= 1


def test_invalid_input_is_refused() -> None:
    with pytest.raises(InputError, match="give at least two"):
        overstatement(np.ones((3, 1), bool))
    with pytest.raises(InputError):
        overstatement(np.full((3, 10), 0.5))
