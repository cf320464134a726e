from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from fittingroom.errors import InputError
from fittingroom.evaluation.agreement import agreement, average, fit_weights, wrong_for_all
from fittingroom.evaluation.metrics import log_loss

LABELS = np.array([0, 1, 2, 0])


def of(*classes: int, sure: float = 0.8) -> np.ndarray:
    """Probabilities of three classes: `sure` for the predicted one."""
    return np.where(np.eye(3)[list(classes)] > 0, sure, (1 - sure) / 2)


A, B, C = of(0, 1, 1, 2), of(0, 2, 1, 2, sure=0.6), of(0, 1, 2, 0)


def test_agreement_by_hand() -> None:
    result = agreement({"a": A, "b": B, "c": C}, LABELS)
    assert result.models == ("a", "b", "c")
    np.testing.assert_allclose(result.same, [[1, 0.75, 0.5], [0.75, 1, 0.25], [0.5, 0.25, 1]])
    np.testing.assert_allclose(result.shared_mistakes[0], [1, 2 / 3, 0])
    assert np.isnan(result.shared_mistakes[2, 2])
    assert result.to_dict()["shared_mistakes"][2] == [0.0, 0.0, None]


def test_images_wrong_for_all_are_sorted_by_the_label_s_probability() -> None:
    assert wrong_for_all([A, B], LABELS).tolist() == [2, 3]
    surer = A.copy()
    surer[3] = [0.01, 0.01, 0.98]
    assert wrong_for_all([surer, B], LABELS).tolist() == [3, 2]
    assert wrong_for_all([A, B, C], LABELS).tolist() == []


def test_an_average_is_a_distribution() -> None:
    mean = average([A, B])
    np.testing.assert_allclose(mean, (A + B) / 2)
    np.testing.assert_allclose(average([A, B], [3, 1]), (3 * A + B) / 4)


def test_fitted_weights_minimise_the_log_loss() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(3, size=3000)
    models = []
    for noise in (1.0, 1.5, 6.0):
        logits = 2 * np.eye(3)[labels] + noise * random.standard_normal((3000, 3))
        models.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))

    def loss(free: np.ndarray) -> float:
        return log_loss(average(models, np.exp(free) / np.exp(free).sum()), labels)

    best = minimize(loss, np.zeros(3), method="Nelder-Mead")
    weights = fit_weights(models, labels)
    assert sum(weights) == pytest.approx(1)
    np.testing.assert_allclose(weights, np.exp(best.x) / np.exp(best.x).sum(), atol=0.02)
    assert log_loss(average(models, weights), labels) == pytest.approx(best.fun, abs=1e-4)


def test_no_models_are_refused() -> None:
    with pytest.raises(InputError, match="give at least one model's"):
        agreement({}, LABELS)
    for function in (wrong_for_all, fit_weights):
        with pytest.raises(InputError, match="give at least one model's"):
            function([], LABELS)
    with pytest.raises(InputError, match="give at least one model's"):
        average([])
