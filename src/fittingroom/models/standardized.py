"""A scikit-learn classifier of standardised pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, check_random_state

from fittingroom.errors import InputError
from fittingroom.models.engine import Engine, fit_with
from fittingroom.models.pixels import check_pixels, check_pixels_and_labels


def _has_probabilities(self: StandardizedClassifier) -> bool:
    return hasattr(self.estimator, "predict_proba")


class StandardizedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Standardise each pixel over the training images, shuffle the images, fit.

    It has ``predict_proba`` if and only if `estimator` has. Pixels are float64.

    Parameters
    ----------
    estimator : a scikit-learn classifier
    random_state : seed of the order; the estimator has one of its own
    engine : "auto" lets scikit-learn-intelex fit if it can, "scikit-learn" never

    Attributes
    ----------
    classes_ : the labels, sorted, of any type
    scaler_ : fitted on the training images
    estimator_ : fitted; its classes are `0..len(classes_)-1`
    engine_ : name and version of the engine that fitted it
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        random_state: int | None = 0,
        engine: Engine = "scikit-learn",
    ) -> None:
        self.estimator = estimator
        self.random_state = random_state
        self.engine = engine

    def fit(self, X: Any, y: Any) -> StandardizedClassifier:
        """Fit on images (n, height*width) or (n, height, width) in 0..255 and n labels.

        Raises
        ------
        InputError : images already scaled to 0..1, fewer than two classes, or no labels
        ValueError : NaN, infinity, different lengths, not a numeric array, or raised by `estimator`
        """
        X, y = check_pixels_and_labels(self, X, y, any_scale=True)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"every image has class {self.classes_[0]!r}; one class leaves nothing to learn."
            )
        order = check_random_state(self.random_state).permutation(len(X))
        self.scaler_ = StandardScaler().fit(X)
        # Shuffled as bytes: a second copy in float64 would be 340 MB for 54,000 images.
        inputs = self.scaler_.transform(X[order])
        self.estimator_, self.engine_ = fit_with(
            self.engine, clone(self.estimator), inputs, codes[order]
        )
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The label that the estimator predicts for each image."""
        inputs = self._inputs(X)
        return self.classes_[self.estimator_.predict(inputs)]  # type: ignore[no-any-return]

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities (n, classes), columns in the order of ``classes_``."""
        inputs = self._inputs(X)
        return self.estimator_.predict_proba(inputs).astype(np.float32)  # type: ignore[no-any-return]

    def _inputs(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        return self.scaler_.transform(check_pixels(self, X, reset=False))  # type: ignore[no-any-return]
