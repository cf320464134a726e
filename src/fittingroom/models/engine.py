"""The engine that fits a classical model: our own kernels, scikit-learn-intelex or scikit-learn.

Our kernels take integer pixels and the catalogue's settings; scikit-learn-intelex, if installed,
takes any numbers; scikit-learn takes everything. Whether the numbers of images, pixels and classes
suit an engine is checked before it allocates anything; if not, the next one is used.

Only fitting is delegated. The result is always a plain scikit-learn estimator, so that a model
predicts the same numbers whether it was just fitted or loaded from a file; k-nearest neighbours is
the exception, since predicting is all that it does.

The one-vs-one support vectors that scikit-learn-intelex 2026.2 finds are right, but its own
`predict` evaluates some pairs of classes wrongly (0.891 instead of 0.905 on 3,000 validation
images), one more reason not to predict with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from fittingroom.errors import InputError, UsageError
from fittingroom.models.pixels import as_pixels

Engine = Literal["auto", "scikit-learn"]

#: Estimators that our own kernels can fit.
_OURS = (KNeighborsClassifier, LogisticRegression, RandomForestClassifier)
_STOCK = (KNeighborsClassifier, LogisticRegression, RandomForestClassifier, SVC)
#: Bytes of float32 images that scikit-learn-intelex's SVM may copy; 60,000 images of 28 × 28 in ten
#: classes take 1.6 GiB.
MAX_COPIED = 3 * 2**30
#: The most classes for which scikit-learn-intelex is as fast as scikit-learn.
MAX_CLASSES = 100


@dataclass(frozen=True)
class FittedKernels:
    """The result of our own kernels.

    Attributes
    ----------
    estimator : fitted
    mean : float32 (height*width,) to subtract from scaled pixels, or None
    engine : name and version
    """

    estimator: Any
    mean: NDArray[np.float32] | None
    engine: str


def fit_on_pixels(
    engine: Engine,
    estimator: BaseEstimator,
    X: NDArray[Any],
    y: NDArray[np.int64],
    *,
    scale: float,
    centre: bool,
) -> FittedKernels | None:
    """Fit `estimator` with our own kernels; returns None if they can't.

    Parameters
    ----------
    engine : anything but "auto" returns None
    estimator : an unfitted scikit-learn estimator
    X : (n, height*width) pixels; anything but integers in 0..255 returns None
    y : integers (n,), every class of 0..classes-1 present
    scale, centre : the estimator sees ``X / scale``, less its mean if `centre`
    """
    if engine != "auto" or type(estimator) not in _OURS:
        return None
    # Imported late: they need Numba, and many a classifier is built only to name its run.
    from fittingroom.models.forest import can_grow, fit_forest
    from fittingroom.models.nearest import NearestImages, can_search
    from fittingroom.models.softmax_regression import can_solve, fit_softmax_regression

    estimator._validate_params()  # scikit-learn names the invalid parameter
    size = (*X.shape, int(y.max()) + 1)
    plain = scale == 1 and not centre
    name = f"fittingroom {version('fittingroom')}"
    pixels = as_pixels(X)
    if pixels is None:
        return None
    if isinstance(estimator, KNeighborsClassifier) and plain and can_search(estimator, *X.shape):
        return FittedKernels(NearestImages(estimator, pixels, y), None, name)
    if isinstance(estimator, RandomForestClassifier) and plain and can_grow(estimator, *size):
        return FittedKernels(fit_forest(estimator, pixels, y), None, name)
    if isinstance(estimator, LogisticRegression) and centre and can_solve(estimator, *size):
        mean = (pixels.mean(axis=0) / scale).astype(np.float32)
        fitted = fit_softmax_regression(estimator, pixels, y, scale=scale, mean=mean)
        return FittedKernels(fitted, mean, name)
    return None


def fit_with(engine: Engine, estimator: BaseEstimator, X: Any, y: Any) -> tuple[BaseEstimator, str]:
    """Fit `estimator` itself or the same estimator in scikit-learn-intelex.

    Parameters
    ----------
    engine : "auto" uses scikit-learn-intelex if it suits (see `suits_intel`), "scikit-learn"
        never
    estimator : an unfitted scikit-learn estimator
    X : array (n, features)
    y : integers (n,), every class of 0..classes-1 present

    Returns
    -------
    the fitted estimator, and the engine's name and version

    Raises
    ------
    UsageError : the engine is unknown
    InputError : there are fewer images than neighbours to search for
    """
    if engine not in ("auto", "scikit-learn"):
        raise UsageError(f"engine {engine!r} is unknown; use 'auto' or 'scikit-learn'.")
    _refuse_too_many_neighbours(estimator, len(X))
    intel = intel_estimators().get(type(estimator)) if engine == "auto" else None
    if intel is None or not suits_intel(estimator, len(X), X.shape[1], int(y.max()) + 1):
        return estimator.fit(X, y), f"scikit-learn {version('scikit-learn')}"
    fitted = intel(**estimator.get_params(deep=False)).fit(X, y)
    if not isinstance(estimator, KNeighborsClassifier):
        fitted = to_stock(fitted)
    return fitted, f"scikit-learn-intelex {version('scikit-learn-intelex')}"


def _refuse_too_many_neighbours(estimator: BaseEstimator, n_images: int) -> None:
    """scikit-learn would raise only in `predict`, and scikit-learn-intelex predict nonsense."""
    k = estimator.n_neighbors if isinstance(estimator, KNeighborsClassifier) else 1
    if isinstance(k, int | np.integer) and k > n_images:
        raise InputError(
            f"n_neighbors is {k}, but there are only {n_images} training images; give at most "
            f"{n_images}."
        )


def suits_intel(estimator: BaseEstimator, n_images: int, n_features: int, n_classes: int) -> bool:
    """Whether scikit-learn-intelex fits `estimator` about as fast as scikit-learn, or faster.

    A search for nearly all images as neighbours loses some of them, or crashes. All others slow
    down with the number of classes: at 200 a forest takes fifteen times as long. An SVM copies the
    support vectors of each pair of classes, at most ``classes - 1`` times all images. Forests and
    logistic regression are slow if there are fewer images than features.
    """
    if isinstance(estimator, KNeighborsClassifier):
        return bool(2 * estimator.n_neighbors <= n_images)
    if isinstance(estimator, SVC):
        fits = 4 * (n_classes - 1) * n_images * n_features <= MAX_COPIED
    else:
        fits = n_features <= n_images
    return n_classes <= MAX_CLASSES and fits


def intel_estimators() -> dict[type, type]:
    """scikit-learn-intelex's classes by their scikit-learn class; empty if it isn't installed."""
    try:
        # These imports patch nothing: scikit-learn's own classes stay as they are.
        from sklearnex.ensemble import RandomForestClassifier as IntelForest
        from sklearnex.linear_model import LogisticRegression as IntelLogistic
        from sklearnex.neighbors import KNeighborsClassifier as IntelNeighbors
        from sklearnex.svm import SVC as IntelSVC
    except ImportError:
        return {}
    return dict(zip(_STOCK, (IntelNeighbors, IntelLogistic, IntelForest, IntelSVC), strict=True))


def to_stock(fitted: Any) -> BaseEstimator:
    """Convert a fitted estimator to scikit-learn's; returns `fitted` itself if it is one."""
    from fittingroom.models.nearest import NearestImages

    if isinstance(fitted, NearestImages):
        return fitted.to_scikit_learn()
    for stock, copy in _COPY.items():
        if isinstance(fitted, stock) and type(fitted) is not stock:
            names = stock().get_params()  # scikit-learn-intelex may have n_jobs where it has not
            estimator = stock(**{name: getattr(fitted, name) for name in names})
            copy(fitted, estimator)
            return estimator
    return fitted


def accelerate(fitted: BaseEstimator) -> Any:
    """Our own, faster equivalent of a fitted scikit-learn estimator, or `fitted` itself."""
    if not isinstance(fitted, KNeighborsClassifier):
        return fitted
    from fittingroom.models.nearest import NearestImages, can_search

    pixels = as_pixels(fitted._fit_X)
    estimator = KNeighborsClassifier(**fitted.get_params(deep=False))
    if pixels is None or not can_search(estimator, *pixels.shape):
        fitted._fit_X = fitted._fit_X.astype(np.float32, copy=False)  # it may be saved as bytes
        return fitted
    return NearestImages(estimator, pixels, fitted._y.astype(np.int64))


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
    # libsvm needs exactly these types.
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
