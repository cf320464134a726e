from __future__ import annotations

import numpy as np
import pytest

from fittingroom.errors import InputError
from fittingroom.evaluation.overstatement import overstatement


def simulated(accuracies: list[float], n: int, seed: int) -> np.ndarray:
    random = np.random.RandomState(seed)
    return random.rand(len(accuracies), n) < np.array(accuracies)[:, None]


def test_the_best_of_equals_overstates_and_the_correction_is_near_the_truth() -> None:
    found = [overstatement(simulated([0.9] * 50, 1000, seed), bootstraps=200) for seed in range(20)]
    observed = np.mean([one.observed for one in found])
    expected = np.mean([one.expected for one in found])
    assert observed > 0.9 + 0.018  # the best of 50 draws is 2.2 standard errors of 0.0095 above
    assert abs(expected - 0.9) < 0.003
    assert np.mean([one.overstated for one in found]) == pytest.approx(observed - expected)
    assert sum(0.9 in one.interval for one in found) >= 18


def test_a_winner_by_far_overstates_nothing() -> None:
    found = overstatement(simulated([0.7, 0.95, 0.7, 0.6], 3000, 0))
    assert found.winner == 1
    assert (found.models, found.images) == (4, 3000)
    assert abs(found.overstated) < 0.0005
    assert found.expected in found.interval


def test_one_model_has_nothing_to_be_chosen_from() -> None:
    found = overstatement(simulated([0.8], 2000, 1))
    assert abs(found.overstated) < 0.001


def test_of_equals_the_first_wins() -> None:
    row = simulated([0.8], 100, 2)
    assert overstatement(np.vstack([~row, row, row])).winner == 1


def test_the_same_draws_give_the_same() -> None:
    correct = simulated([0.8, 0.82], 300, 3)
    assert overstatement(correct) == overstatement(correct)
    assert overstatement(correct) != overstatement(correct, seed=1)


def test_few_images_are_no_reason_to_divide_by_nothing() -> None:
    assert 0 <= overstatement(np.array([[True, False], [True, True]])).expected <= 1


def test_figures_are_refused() -> None:
    with pytest.raises(InputError, match="give at least two"):
        overstatement(np.ones((3, 1), bool))
    with pytest.raises(InputError):
        overstatement(np.full((3, 10), 0.5))
