"""Who fits a classical model: scikit-learn-intelex where it is installed, else scikit-learn.

Only the fit is handed over. What comes back is always a plain scikit-learn estimator, so that a
model predicts the same numbers whether it was just fitted or comes out of a file; k-nearest
neighbours is the exception, since predicting is all that it does.

The one-vs-one support vectors that scikit-learn-intelex 2026.2 finds are right, but its own
`predict` evaluates some pairs of classes wrongly (0.891 instead of 0.905 on 3,000 validation
images), one more reason not to predict with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from fittingroom.errors import UsageError

Engine = Literal["auto", "scikit-learn"]

_STOCK = (KNeighborsClassifier, LogisticRegression, RandomForestClassifier, SVC)


def fit_with(engine: Engine, estimator: BaseEstimator, X: Any, y: Any) -> tuple[BaseEstimator, str]:
    """Fit `estimator` itself or its twin of scikit-learn-intelex.

    Parameters
    ----------
    engine : "auto" takes the twin where there is one, "scikit-learn" never
    estimator : an unfitted scikit-learn estimator
    X : array (n, features)
    y : integers (n,), every class of 0..classes-1 present

    Returns
    -------
    the fitted estimator, and the engine's name and version

    Raises
    ------
    UsageError : another engine
    """
    if engine not in ("auto", "scikit-learn"):
        raise UsageError(f"engine {engine!r} is unknown; take 'auto' or 'scikit-learn'.")
    fast = intel_twins().get(type(estimator)) if engine == "auto" else None
    if fast is None:
        return estimator.fit(X, y), f"scikit-learn {version('scikit-learn')}"
    fitted = fast(**estimator.get_params(deep=False)).fit(X, y)
    if not isinstance(estimator, KNeighborsClassifier):
        fitted = to_stock(fitted)
    return fitted, f"scikit-learn-intelex {version('scikit-learn-intelex')}"


def intel_twins() -> dict[type, type]:
    """The classes of scikit-learn-intelex by their scikit-learn class; none if not installed."""
    try:
        # These imports patch nothing: scikit-learn's own names stay what they are.
        from sklearnex.ensemble import RandomForestClassifier as IntelForest
        from sklearnex.linear_model import LogisticRegression as IntelLogistic
        from sklearnex.neighbors import KNeighborsClassifier as IntelNeighbors
        from sklearnex.svm import SVC as IntelSVC
    except ImportError:
        return {}
    return dict(zip(_STOCK, (IntelNeighbors, IntelLogistic, IntelForest, IntelSVC), strict=True))


def to_stock(fitted: BaseEstimator) -> BaseEstimator:
    """The scikit-learn estimator that holds what `fitted` learned; `fitted` if it is one."""
    for stock, copy in _COPY.items():
        if isinstance(fitted, stock) and type(fitted) is not stock:
            known = stock().get_params()  # the twins of some have n_jobs, they have not
            estimator = stock(**{name: getattr(fitted, name) for name in known})
            copy(fitted, estimator)
            return estimator
    return fitted


def _copy_attributes(source: Any, target: Any, names: Iterable[str]) -> None:
    for name in names:
        setattr(target, name, getattr(source, name))


def _copy_logistic(source: Any, target: Any) -> None:
    names = ("classes_", "coef_", "intercept_", "n_iter_", "n_features_in_")
    _copy_attributes(source, target, names)


def _copy_forest(source: Any, target: Any) -> None:
    names = ("classes_", "n_classes_", "n_outputs_", "n_features_in_", "estimators_", "estimator_")
    _copy_attributes(source, target, names)


def _copy_neighbors(source: Any, target: Any) -> None:
    target.fit(source._fit_X, source._y)


def _copy_svc(source: Any, target: Any) -> None:
    _copy_attributes(
        source,
        target,
        ("classes_", "class_weight_", "fit_status_", "shape_fit_", "n_features_in_", "n_iter_"),
    )
    target._gamma, target._sparse = float(source._gamma), False
    target._effective_probability = False
    target._probA = target._probB = np.empty(0)
    # libsvm wants these very types.
    target.support_ = np.asarray(source.support_, np.int32)
    target._n_support = np.asarray(source.n_support_, np.int32)
    target.support_vectors_ = np.ascontiguousarray(source.support_vectors_, np.float64)
    target.dual_coef_ = np.ascontiguousarray(source.dual_coef_, np.float64)
    target.intercept_ = np.ascontiguousarray(source.intercept_, np.float64)
    sign = -1 if len(target.classes_) == 2 else 1  # libsvm's first class is the positive one
    target._dual_coef_, target._intercept_ = sign * target.dual_coef_, sign * target.intercept_


_COPY: dict[type, Callable[[Any, Any], None]] = {
    LogisticRegression: _copy_logistic,
    RandomForestClassifier: _copy_forest,
    KNeighborsClassifier: _copy_neighbors,
    SVC: _copy_svc,
}
