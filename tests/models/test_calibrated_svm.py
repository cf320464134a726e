from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.svm import SVC, LinearSVC

from fittingroom.data.dataset import Dataset
from fittingroom.evaluation.calibration import best_temperature
from fittingroom.models import calibrated_svm
from fittingroom.models.calibrated_svm import CalibratedSVM, one_vs_one_scores
from fittingroom.models.engine import fit_with


@pytest.fixture(scope="module")
def arrays(small: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """1,000 training and 1,000 test images (n, 784) uint8 with their labels."""
    train = small.train.images[::2].reshape(1000, -1)
    test = small.test.images.reshape(1000, -1)
    return train, small.train.labels[::2], test, small.test.labels


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return -float(np.log(probabilities[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_scores_equal_libsvms(classes: int, arrays: Any) -> None:
    train, labels, test, _ = arrays
    kept = labels < classes
    svc = SVC(C=10).fit(train[kept] / 255, labels[kept])
    expected = svc.decision_function(test / 255)
    np.testing.assert_allclose(one_vs_one_scores(svc, test / 255), expected, atol=1e-9)
    in_float32 = one_vs_one_scores(svc, (test / 255).astype(np.float32))
    np.testing.assert_allclose(in_float32, expected, atol=1e-3)
    np.testing.assert_array_equal(in_float32.argmax(-1), expected.argmax(-1))


def test_many_images_at_once_have_the_same_scores(arrays: Any) -> None:
    train, labels, test, _ = arrays
    svc = SVC(C=10).fit(train / 255, labels)
    many = np.concatenate([test, test[:500]]) / 255  # more than one chunk
    np.testing.assert_allclose(
        one_vs_one_scores(svc, many)[-500:], one_vs_one_scores(svc, test[:500] / 255), atol=1e-9
    )


@pytest.mark.parametrize("classes", [2, 10])
def test_if_weights_would_be_too_large_libsvm_computes_the_scores(
    classes: int, arrays: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, labels, test, _ = arrays
    kept = labels < classes
    svc = SVC(C=10).fit(train[kept] / 255, labels[kept])
    expected = one_vs_one_scores(svc, test / 255)
    monkeypatch.setattr(calibrated_svm, "MAX_WEIGHTS", 0)
    monkeypatch.setattr(calibrated_svm, "pair_weights", None)
    np.testing.assert_allclose(one_vs_one_scores(svc, test / 255), expected, atol=1e-9)


@pytest.mark.parametrize("truth", [0.05, 0.7, 1.0, 12.0])
def test_the_temperature_behind_the_labels_is_recovered(truth: float) -> None:
    random = np.random.default_rng(0)
    logits = 2 * random.normal(size=(20_000, 5))
    labels = (random.random((20_000, 1)) > softmax(logits, axis=1).cumsum(axis=1)).sum(axis=1)
    assert best_temperature(logits * truth, labels, 0.01, 100) == pytest.approx(truth, rel=0.03)


def test_uninformative_scores_get_a_finite_temperature() -> None:
    labels = np.array([0, 1] * 10)
    assert 0 < best_temperature(np.zeros((20, 2)), labels, 0.01, 100) < np.inf
    perfect = np.eye(2)[labels] * 1e6
    assert 0 < best_temperature(perfect, labels, 0.01, 100) < np.inf


@pytest.mark.parametrize("estimator", [SVC(C=10), LinearSVC(dual=False)], ids=["rbf", "linear"])
def test_probabilities_are_calibrated_on_unseen_images(estimator: Any, arrays: Any) -> None:
    train, labels, test, test_labels = arrays
    model = CalibratedSVM(estimator).fit(train, labels)
    calibrated = log_loss(model.predict_proba(test), test_labels)
    scores = model.decision_function(test)
    np.testing.assert_allclose(
        model.predict_proba(test), softmax(scores / model.temperature_, axis=1), atol=1e-6
    )
    best = best_temperature(scores, test_labels, 0.01, 100)
    assert calibrated < log_loss(softmax(scores / best, axis=1), test_labels) + 0.05
    for wrong in (model.temperature_ / 3, model.temperature_ * 3):
        assert calibrated < log_loss(softmax(scores / wrong, axis=1), test_labels)


def test_the_machine_itself_is_fitted_on_every_image(arrays: Any) -> None:
    train, labels, test, _ = arrays
    model = CalibratedSVM(LinearSVC(dual=False), engine="scikit-learn").fit(
        train[:300], labels[:300]
    )
    alone = LinearSVC(dual=False).fit(train[:300].astype(np.float32) / 255, labels[:300])
    np.testing.assert_allclose(
        model.decision_function(test), alone.decision_function(test / 255), atol=1e-4
    )


def test_the_twin_is_fitted_on_few_images(arrays: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import fittingroom.models.calibrated_svm as module

    sizes = []

    def counting(engine: Any, estimator: Any, X: Any, y: Any) -> Any:
        sizes.append(len(X))
        return fit_with(engine, estimator, X, y)

    monkeypatch.setattr(module, "fit_with", counting)
    CalibratedSVM(SVC(), twin_images=150, held_out=0.2).fit(*arrays[:2])
    CalibratedSVM(SVC(), twin_images=5000, held_out=0.2).fit(*arrays[:2])
    assert sizes == [150, 800]


def test_too_few_images_of_a_class_leave_the_scores_unscaled(arrays: Any) -> None:
    train, labels, test, _ = arrays
    few = np.concatenate([np.flatnonzero(labels < 9)[:60], np.flatnonzero(labels == 9)[:1]])
    model = CalibratedSVM(SVC()).fit(train[few], labels[few])
    assert model.temperature_ == 1
    assert np.isfinite(model.predict_proba(test)).all()


def test_two_classes(arrays: Any) -> None:
    train, labels, test, test_labels = arrays
    kept, seen = np.isin(labels, [1, 9]), np.isin(test_labels, [1, 9])
    for estimator in (SVC(), LinearSVC(dual=False)):
        model = CalibratedSVM(estimator).fit(train[kept], labels[kept])
        scores = model.decision_function(test[seen])
        assert scores.shape == (200,)
        np.testing.assert_array_equal(model.predict(test[seen]), np.where(scores > 0, 9, 1))
        assert model.score(test[seen], test_labels[seen]) > 0.98
