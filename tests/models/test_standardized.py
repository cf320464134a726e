from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError
from fittingroom.models.standardized import StandardizedClassifier


@pytest.fixture(scope="module")
def images(small: Dataset) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.random.default_rng(0).permutation(len(small.train))[:200]
    return small.train.images[chosen].reshape(200, -1), small.train.labels[chosen]


def test_pixels_are_standardised_and_shuffled_by_the_seed(
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    X, y = images
    order = np.random.RandomState(3).permutation(len(X))
    scaler = StandardScaler().fit(X)
    by_hand = SGDClassifier(shuffle=False, random_state=0).fit(scaler.transform(X)[order], y[order])
    estimator = SGDClassifier(shuffle=False, random_state=0)
    ours = StandardizedClassifier(estimator, random_state=3).fit(X, y)
    np.testing.assert_array_equal(ours.estimator_.coef_, by_hand.coef_)
    np.testing.assert_array_equal(ours.predict(X), by_hand.predict(scaler.transform(X)))
    other = clone(ours).set_params(random_state=4).fit(X, y)
    assert not np.array_equal(other.estimator_.coef_, by_hand.coef_)
    assert ours.engine_ == f"scikit-learn {sklearn.__version__}"


def test_labels_may_be_names(images: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = images
    named = StandardizedClassifier(DecisionTreeClassifier(random_state=0)).fit(X, y.astype(str))
    assert set(named.predict(X)) == set(y.astype(str))
    assert named.score(X, y.astype(str)) == 1


def test_only_estimators_with_probabilities_give_them(
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    logistic = StandardizedClassifier(LogisticRegression(max_iter=1000)).fit(*images)
    probabilities = logistic.predict_proba(images[0])
    assert (probabilities.shape, probabilities.dtype) == ((200, 10), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert not hasattr(StandardizedClassifier(LinearSVC()), "predict_proba")


def test_invalid_images_are_refused(images: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = images
    model = StandardizedClassifier(DecisionTreeClassifier())
    with pytest.raises(InputError, match="unscaled"):
        model.fit(X / 255, y)
    with pytest.raises(InputError, match="one class"):
        model.fit(X, np.zeros(200, int))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_it_is_a_scikit_learn_estimator() -> None:
    check_estimator(StandardizedClassifier(DecisionTreeClassifier(random_state=0)))
