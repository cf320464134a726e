from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from fittingroom.errors import InputError
from fittingroom.evaluation.calibration import at_temperature, fit_temperature, reliability


def draw(n: int = 4000, seed: int = 0, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels drawn from them; a temperature then rescales the probabilities."""
    random = np.random.default_rng(seed)
    honest = random.dirichlet(np.full(5, 0.4), n).astype(np.float32)
    labels = np.array([random.choice(5, p=p / p.sum()) for p in honest.astype(np.float64)])
    return at_temperature(honest, temperature), labels


def test_bins_are_those_of_scikit_learn() -> None:
    probabilities, labels = draw()
    diagram = reliability(probabilities, labels, bins=10)
    right = probabilities.argmax(axis=1) == labels
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=10)
    filled = diagram.counts > 0
    np.testing.assert_allclose(diagram.accuracy[filled], accuracy)
    np.testing.assert_allclose(diagram.confidence[filled], confidence, rtol=1e-6)
    assert diagram.counts.sum() == len(labels)


def test_the_expected_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.45, 0.55]])
    labels = np.array([0, 1, 0, 1])
    diagram = reliability(probabilities, labels, bins=4)  # (0.5, 0.75] and (0.75, 1]
    assert diagram.counts.tolist() == [0, 0, 2, 2]
    expected = 0.5 * abs(1.0 - 0.575) + 0.5 * abs(0.5 - 0.85)
    assert diagram.expected_calibration_error == pytest.approx(expected)
    empty = diagram.to_dict()["bins"][0]
    assert empty == {"low": 0.0, "high": 0.25, "count": 0, "confidence": None, "accuracy": None}


def test_bins_are_weighted_by_their_images_and_include_their_upper_edge() -> None:
    """Three images in a bin that is 0.1 off and one in a bin that is 0.3 off."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.7, 0.3]])
    diagram = reliability(probabilities, np.zeros(4, int), bins=10)
    assert diagram.expected_calibration_error == pytest.approx((3 * 0.1 + 1 * 0.3) / 4)
    assert np.flatnonzero(diagram.counts).tolist() == [6, 8], "0.7 and 0.9 end a bin"
    sure = reliability(np.array([[1.0, 0.0]]), np.array([1]), bins=10)
    assert np.flatnonzero(sure.counts).tolist() == [9]
    assert sure.expected_calibration_error == 1
    low = reliability(np.array([[0.5, 0.5], [0.6, 0.4]]), np.array([0, 1]), bins=2)
    assert low.counts.tolist() == [1, 1]
    assert len(reliability(probabilities, np.zeros(4, int)).counts) == 15
    halves = reliability(np.array([[0.5, 0.5], [0.75, 0.25]]), np.array([0, 1]), bins=4)
    assert halves.counts.tolist() == [0, 1, 1, 0]
    np.testing.assert_allclose(halves.edges, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(halves.chance_sd[1:3], [0.5, np.sqrt(0.75 * 0.25)])


def test_temperatures_are_kept_within_bounds() -> None:
    sure, labels = np.array([[0.6, 0.4]] * 50), np.zeros(50, int)
    assert fit_temperature(sure, labels) == pytest.approx(0.05, rel=0.01), "always right"
    assert fit_temperature(sure[:, ::-1], labels) == pytest.approx(20, rel=0.01), "always wrong"


def test_the_error_by_chance_is_that_of_labels_drawn_from_the_probabilities() -> None:
    probabilities, _ = draw(2000)
    random = np.random.default_rng(1)
    cumulated = np.cumsum(probabilities, axis=1)
    errors = []
    for _ in range(200):
        labels = (random.random((2000, 1)) < cumulated / cumulated[:, -1:]).argmax(axis=1)
        errors.append(reliability(probabilities, labels).expected_calibration_error)
    expected = reliability(probabilities, labels).error_by_chance
    assert expected == pytest.approx(np.mean(errors), rel=0.04)
    assert 0.01 < expected < 0.03


@given(st.integers(1, 40), st.integers(2, 12), st.integers(1, 20), st.integers(0, 99))
def test_every_image_is_in_one_bin(n: int, classes: int, bins: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), n)
    probabilities[0] = np.eye(classes)[0]  # as confident as possible
    diagram = reliability(probabilities, random.integers(classes, size=n), bins)
    assert diagram.counts.sum() == n
    assert 0 <= diagram.expected_calibration_error <= 1


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_fitting_recovers_the_temperature_that_was_applied(temperature: float) -> None:
    probabilities, labels = draw(20_000, temperature=temperature)
    assert fit_temperature(probabilities, labels) == pytest.approx(1 / temperature, rel=0.05)


def test_a_fitted_temperature_improves_calibration_and_changes_no_prediction() -> None:
    probabilities, labels = draw(20_000, temperature=0.4)
    mended = at_temperature(probabilities, fit_temperature(probabilities, labels))
    before, after = (reliability(p, labels) for p in (probabilities, mended))
    assert before.expected_calibration_error > 0.1
    assert after.expected_calibration_error < 0.02
    assert (mended.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert log_loss(labels, mended) < log_loss(labels, probabilities)
    np.testing.assert_allclose(mended.sum(axis=1), 1)


def test_one_hot_probabilities_have_a_temperature_too() -> None:
    labels = np.array([0, 1, 0, 1, 0])
    sure = np.eye(2)[[0, 1, 0, 1, 1]]
    temperature = fit_temperature(sure, labels)
    mended = at_temperature(sure, temperature)
    assert mended.max(axis=1) == pytest.approx(0.8, abs=0.01)


def test_invalid_input_is_refused() -> None:
    probabilities, labels = draw(10)
    with pytest.raises(InputError, match="above 0, not -1"):
        at_temperature(probabilities, -1)
    with pytest.raises(InputError, match="at least 1, not 0"):
        reliability(probabilities, labels, bins=0)
    with pytest.raises(InputError, match="don't match"):
        fit_temperature(probabilities, labels[1:])
