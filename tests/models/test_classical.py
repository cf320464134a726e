"""Tests that every classical model of the catalogue must pass, and tests of single models."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError
from fittingroom.models import classical, engine

QUICK: dict[str, tuple[Callable[..., BaseEstimator], dict[str, Any]]] = {
    "logistic": (classical.logistic, {}),
    "linear_svm": (classical.linear_svm, {}),
    "svm_rbf": (classical.svm_rbf, {}),
    "knn": (classical.knn, {}),
    "random_forest": (classical.random_forest, {"n_estimators": 20}),
    "hist_gradient_boosting": (classical.hist_gradient_boosting, {"max_iter": 3}),
    "hog_svm": (classical.hog_svm, {}),
}
SEEDED = {"random_forest"}
OURS = {"logistic", "knn", "random_forest"}  # fitted by our own kernels
MIN_ACCURACY = 0.65  # chance is 0.1


@pytest.fixture(params=QUICK)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(name: str, **parameters: Any) -> BaseEstimator:
    builder, quick = QUICK[name]
    return builder(**quick, **parameters)


@pytest.fixture(scope="module")
def images(small: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """400 real images (n, 784) uint8 in 0..255, 40 per class, and their labels."""
    chosen = np.concatenate([np.flatnonzero(small.train.labels == c)[:40] for c in range(10)])
    chosen = np.random.default_rng(0).permutation(chosen)
    return small.train.images[chosen].reshape(400, -1), small.train.labels[chosen]


@pytest.fixture(scope="module")
def unseen(small: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return small.test.images.reshape(1000, -1), small.test.labels


@pytest.fixture(scope="module")
def fitted(images: tuple[np.ndarray, np.ndarray]) -> Callable[[str], BaseEstimator]:
    """Each model, fitted once; a test that changes one must clone it."""
    models: dict[str, BaseEstimator] = {}

    def fit(name: str) -> BaseEstimator:
        if name not in models:
            models[name] = build(name).fit(*images)
        return models[name]

    return fit


def test_learns(name: str, fitted: Any, unseen: Any) -> None:
    assert fitted(name).score(*unseen) > MIN_ACCURACY


def test_probabilities_are_probabilities(name: str, fitted: Any, unseen: Any) -> None:
    probabilities = fitted(name).predict_proba(unseen[0])
    assert probabilities.shape == (1000, 10)
    assert probabilities.dtype == np.float32
    assert np.isfinite(probabilities).all()
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_predict_is_the_most_probable_class(name: str, fitted: Any, unseen: Any) -> None:
    model = fitted(name)
    most_probable = model.classes_[model.predict_proba(unseen[0]).argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(unseen[0]), most_probable)


def test_clone_and_parameters(name: str) -> None:
    model = build(name)
    copy = clone(model)
    assert copy is not model
    assert repr(copy) == repr(model)
    nested = [p for p in model.get_params() if p.startswith("estimator__")]
    assert nested
    value = copy.get_params()[nested[0]]
    assert copy.set_params(**{nested[0]: value}).get_params()[nested[0]] == value
    assert copy.set_params(engine="scikit-learn").engine == "scikit-learn"
    assert model.engine == "auto"


def test_same_seed_same_probabilities(name: str, images: Any, fitted: Any, unseen: Any) -> None:
    again = build(name).fit(*images).predict_proba(unseen[0])
    np.testing.assert_array_equal(again, fitted(name).predict_proba(unseen[0]))


@pytest.mark.parametrize("name", sorted(SEEDED), indirect=True)
def test_another_seed_another_model(name: str, images: Any, fitted: Any, unseen: Any) -> None:
    other = build(name, random_state=1).fit(*images).predict_proba(unseen[0])
    assert (other != fitted(name).predict_proba(unseen[0])).any()


def test_string_labels(name: str, images: Any, small: Dataset, unseen: Any) -> None:
    # Sorted, these words are in the opposite order of the numbers.
    words = np.array([f"{9 - c} {n}" for c, n in enumerate(small.class_names)])
    model = build(name).fit(images[0], words[images[1]])
    assert model.classes_.tolist() == sorted(words)
    assert model.score(unseen[0], words[unseen[1]]) > MIN_ACCURACY


def test_a_class_missing_from_the_predicted_images(name: str, fitted: Any, unseen: Any) -> None:
    without_dresses = unseen[0][unseen[1] != 3]
    assert fitted(name).predict_proba(without_dresses).shape == (900, 10)


def test_floats_in_0_to_255_are_the_same_images(
    name: str, images: Any, fitted: Any, unseen: Any
) -> None:
    model = build(name).fit(images[0].astype(np.float64), images[1])
    np.testing.assert_array_equal(
        model.predict_proba(unseen[0].astype(np.float32)), fitted(name).predict_proba(unseen[0])
    )


def test_scaled_images_are_refused(name: str, images: Any, fitted: Any) -> None:
    with pytest.raises(InputError, match=r"0\.\.255"):
        build(name).fit(images[0] / 255, images[1])
    with pytest.raises(InputError, match=r"0\.\.255"):
        fitted(name).predict_proba(images[0] / 255)


def test_standardised_images_are_refused_if_the_classifier_scales(
    name: str, images: Any, unseen: Any, fitted: Any
) -> None:
    scaler = StandardScaler().fit(images[0])
    standardised = scaler.transform(images[0])
    with pytest.raises(InputError, match=r"0\.\.255, but these floats range from -"):
        fitted(name).predict_proba(standardised)
    if build(name).scale != 1:
        with pytest.raises(InputError, match="before standardising"):
            build(name).fit(standardised, images[1])
        return
    model = build(name).fit(standardised, images[1])
    assert model.score(scaler.transform(unseen[0]), unseen[1]) > MIN_ACCURACY


def test_scikit_learns_digits_are_refused_if_the_classifier_scales(name: str) -> None:
    digits, labels = load_digits(return_X_y=True)
    if build(name).scale != 1:
        with pytest.raises(InputError, match=r"from 0 to 16; multiply them by 255 / 16"):
            build(name).fit(digits[:300], labels[:300])
        digits *= 255 / 16
    assert build(name).fit(digits[:300], labels[:300]).score(digits[300:], labels[300:]) > 0.6


def test_the_callers_images_are_not_changed(name: str, images: Any) -> None:
    """Scaling must not change the caller's array."""
    floats = images[0].astype(np.float32)
    build(name).fit(floats, images[1]).predict_proba(floats)
    np.testing.assert_array_equal(floats, images[0])


def test_an_unfitted_model_is_refused(name: str, images: Any) -> None:
    with pytest.raises(NotFittedError):
        build(name).predict(images[0])


def test_one_class_is_refused(name: str, images: Any) -> None:
    with pytest.raises(InputError, match="one class"):
        build(name).fit(images[0][:5], np.full(5, "Bag"))


def test_nothing_warns_and_the_engine_is_named(name: str, images: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = build(name).fit(*images)
    stock = ("scikit-learn", "scikit-learn-intelex")
    assert model.engine_.split()[0] in (("fittingroom",) if name in OURS else stock)


def test_scikit_learn_alone(
    name: str, images: Any, fitted: Any, unseen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On request, or if no other engine can, scikit-learn fits as good a model."""
    forced = build(name).set_params(engine="scikit-learn").fit(*images)
    for module in [m for m in sys.modules if m.split(".")[0] == "sklearnex"]:
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(engine, "_OURS", ())
    alone = build(name).fit(*images)
    assert forced.engine_ == alone.engine_
    assert alone.engine_.startswith("scikit-learn 1.")
    probabilities = forced.predict_proba(unseen[0])
    np.testing.assert_array_equal(probabilities, alone.predict_proba(unseen[0]))
    agree = probabilities.argmax(axis=1) == fitted(name).predict(unseen[0])
    assert agree.mean() > 0.99


@pytest.mark.parametrize("kind", ["auto", pytest.param("scikit-learn", marks=pytest.mark.slow)])
def test_scikit_learns_own_checks(name: str, kind: str) -> None:
    """No failure is expected; only checks that need pandas or the array API are skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        results = check_estimator(build(name).set_params(engine=kind), on_fail=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}
    assert sum(r["status"] == "passed" for r in results) > 40


@pytest.mark.parametrize("kind", ["auto", "scikit-learn"])
def test_logistic_regression_warns_if_it_has_not_converged(kind: Any, images: Any) -> None:
    with pytest.warns(UserWarning, match="converge"):
        classical.logistic(max_iter=3, engine=kind).fit(*images)


def test_neighbours_are_exact(images: Any, unseen: Any, fitted: Any) -> None:
    """Judged by distances in integer arithmetic."""
    train, test = images[0].astype(np.int64), unseen[0][:200].astype(np.int64)
    squared = (test**2).sum(1)[:, None] + (train**2).sum(1) - 2 * test @ train.T
    nearest = np.argsort(squared, axis=1)[:, :5]
    votes = np.stack([np.bincount(images[1][row], minlength=10) for row in nearest])
    np.testing.assert_allclose(fitted("knn").predict_proba(unseen[0][:200]), votes / 5, atol=1e-6)


def test_the_published_settings() -> None:
    forest = classical.random_forest().estimator
    defaults = RandomForestClassifier().get_params()
    changed = {k: v for k, v in forest.get_params().items() if v != defaults[k]}
    assert changed == {"n_jobs": -1, "random_state": 0}
    assert classical.linear_svm().estimator.get_params()["dual"] is False
    svc = classical.svm_rbf().estimator
    assert isinstance(svc, SVC)
    assert (svc.C, svc.gamma, svc.kernel) == (10, "scale", "rbf")
    assert classical.hist_gradient_boosting().estimator.early_stopping is False
