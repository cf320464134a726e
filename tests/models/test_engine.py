"""What the fast engine fits must be what scikit-learn itself would have fitted."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from fittingroom.data.dataset import Dataset
from fittingroom.errors import UsageError
from fittingroom.models.engine import fit_with, intel_estimators, suits_intel, to_stock

needs_intel = pytest.mark.skipif(
    not intel_estimators(), reason="scikit-learn-intelex isn't installed"
)

ESTIMATORS = {
    "logistic": LogisticRegression(C=0.1, max_iter=1000),
    "forest": RandomForestClassifier(20, random_state=0),
    "neighbours": KNeighborsClassifier(algorithm="brute"),
}


@pytest.fixture(scope="module")
def arrays(small: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training images (1000, 784) float32 in 0..1, their labels, and test images (1000, 784)."""
    train = small.train.images[::2].reshape(1000, -1).astype(np.float32) / 255
    test = small.test.images.reshape(1000, -1).astype(np.float32) / 255
    return train, small.train.labels[::2], test


@needs_intel
@pytest.mark.parametrize("name", ESTIMATORS)
def test_intels_estimators_predict_the_same_in_scikit_learn(name: str, arrays: Any) -> None:
    train, labels, test = arrays
    estimator = ESTIMATORS[name]
    intel = intel_estimators()[type(estimator)](**estimator.get_params()).fit(train, labels)
    stock = to_stock(intel)
    assert type(stock) is type(estimator)
    assert stock.get_params() == estimator.get_params()
    np.testing.assert_array_equal(stock.predict(test), intel.predict(test))
    np.testing.assert_allclose(stock.predict_proba(test), intel.predict_proba(test), atol=1e-5)


@needs_intel
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_intel_finds_libsvms_support_vectors(classes: int, arrays: Any) -> None:
    train, labels, test = arrays
    kept = labels < classes
    svc = SVC(C=10, gamma=0.01, tol=1e-5)
    ours, engine = fit_with("auto", svc, train[kept], labels[kept])
    theirs, _ = fit_with("scikit-learn", svc, train[kept], labels[kept])
    assert engine.startswith("scikit-learn-intelex 20")
    assert type(ours) is SVC
    np.testing.assert_array_equal(ours.predict(test), theirs.predict(test))
    np.testing.assert_allclose(
        ours.decision_function(test), theirs.decision_function(test), atol=1e-3
    )


@needs_intel
def test_a_neighbour_search_stays_with_the_engine(arrays: Any) -> None:
    fitted, _ = fit_with("auto", ESTIMATORS["neighbours"], *arrays[:2])
    assert type(fitted) is not KNeighborsClassifier


@pytest.mark.parametrize(
    ("estimator", "size", "suits"),
    [
        (SVC(), (60_000, 784, 10), True),
        (SVC(), (300, 50_176, 10), True),
        (SVC(), (60_000, 784, 30), False),  # copies of 5.1 GiB
        (SVC(), (2000, 784, 200), False),
        (ESTIMATORS["logistic"], (60_000, 784, 10), True),
        (ESTIMATORS["logistic"], (60_000, 784, 200), False),
        (ESTIMATORS["logistic"], (300, 50_176, 2), False),
        (ESTIMATORS["forest"], (60_000, 784, 10), True),
        (ESTIMATORS["forest"], (3000, 784, 200), False),
        (ESTIMATORS["forest"], (300, 50_176, 2), False),
        (ESTIMATORS["neighbours"], (60_000, 784, 200), True),
        (ESTIMATORS["neighbours"], (300, 50_176, 2), True),
        (KNeighborsClassifier(995), (1000, 784, 10), False),
    ],
    ids=str,
)
def test_the_twin_is_not_used_if_it_does_not_suit(
    estimator: Any, size: tuple[int, int, int], suits: bool
) -> None:
    assert suits_intel(estimator, *size) is suits


def test_a_search_for_all_images_is_left_to_scikit_learn(arrays: Any) -> None:
    train, labels, test = arrays
    fitted, engine = fit_with("auto", KNeighborsClassifier(1000, algorithm="brute"), train, labels)
    assert engine.startswith("scikit-learn 1.")
    shares = np.bincount(labels) / 1000
    np.testing.assert_allclose(fitted.predict_proba(test[:5]), np.tile(shares, (5, 1)))


@needs_intel
def test_scikit_learn_is_not_patched() -> None:
    program = (
        "from fittingroom.models.engine import intel_estimators; assert intel_estimators();"
        "from sklearn.svm import SVC; from sklearn.ensemble import RandomForestClassifier;"
        "print(SVC.__module__, RandomForestClassifier.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["sklearn.svm._classes", "sklearn.ensemble._forest"]
    assert done.stderr == ""


def test_scikit_learn_on_request(arrays: Any) -> None:
    fitted, engine = fit_with("scikit-learn", ESTIMATORS["neighbours"], *arrays[:2])
    assert type(fitted) is KNeighborsClassifier
    assert to_stock(fitted) is fitted
    assert engine.startswith("scikit-learn 1.")


def test_an_unknown_engine_is_refused(arrays: Any) -> None:
    with pytest.raises(UsageError, match="'magic' is unknown; use 'auto' or 'scikit-learn'"):
        fit_with("magic", ESTIMATORS["neighbours"], *arrays[:2])  # type: ignore[arg-type]
