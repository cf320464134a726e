"""A scikit-learn classifier adapted to take pixels and give probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from fittingroom.errors import InputError, UsageError
from fittingroom.models.engine import Engine, FittedKernels, fit_on_pixels, fit_with
from fittingroom.models.pixels import check_pixels, check_pixels_and_labels, image_shape


class PixelClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn classifier of images as rows of pixels in 0..255.

    Parameters
    ----------
    estimator : a classifier with ``predict_proba``
    features : a transformer of scaled images, or None for the pixels themselves
    scale : pixels are divided by this
    centre : subtract the mean training image
    engine : "auto" fits with our own kernels or scikit-learn-intelex if they can, "scikit-learn"
        never

    Attributes
    ----------
    classes_ : the labels, sorted, of any type
    estimator_ : the fitted classifier; its classes are `0..len(classes_)-1`
    mean_ : float32 (height*width,) the mean training image after scaling; None if not centred
    engine_ : name and version of the engine that fitted it
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        features: BaseEstimator | None = None,
        scale: float = 255.0,
        centre: bool = False,
        engine: Engine = "auto",
    ) -> None:
        self.estimator = estimator
        self.features = features
        self.scale = scale
        self.centre = centre
        self.engine = engine

    def fit(self, X: Any, y: Any) -> PixelClassifier:
        """Fit on images (n, height*width) or (n, height, width) in 0..255 and n labels.

        Raises
        ------
        InputError : the images aren't in 0..255 or too few for a setting, there are fewer than two
            classes, or no labels
        UsageError : a setting is invalid
        ValueError : NaN, infinity, different lengths, or not a numeric array
        """
        if not self.scale > 0:
            raise UsageError(f"scale must be above 0, not {self.scale!r}, since it divides pixels.")
        shape = image_shape(X)
        X, y = check_pixels_and_labels(self, X, y, any_scale=self.scale == 1)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"every image has class {self.classes_[0]!r}; one class leaves nothing to learn."
            )
        ours = None if self.features is not None else self._fit_on_pixels(X, codes)
        if ours is not None:
            self.estimator_, self.mean_, self.engine_ = ours.estimator, ours.mean, ours.engine
            self.features_ = None
            return self
        scaled = self._scale(X)
        self.mean_ = scaled.mean(axis=0) if self.centre else None
        self.features_ = self._fit_features(scaled, shape)
        self._learn(self._inputs(scaled), codes)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities (n, classes), columns in the order of ``classes_``."""
        return self._probabilities(self._prepare(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each image; the first if several tie."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]  # type: ignore[no-any-return]

    def _fit_features(
        self, scaled: NDArray[np.float32], shape: tuple[int, int] | None
    ) -> BaseEstimator | None:
        """The transformer, which gets to know the images' shape if it asks for it."""
        if self.features is None:
            return None
        features = clone(self.features)
        if shape is not None and features.get_params().get("image_shape", shape) is None:
            features.set_params(image_shape=shape)
        return features.fit(scaled)

    def _fit_on_pixels(self, X: NDArray[Any], codes: NDArray[np.int64]) -> FittedKernels | None:
        estimator = clone(self.estimator)
        return fit_on_pixels(self.engine, estimator, X, codes, scale=self.scale, centre=self.centre)

    def _learn(self, inputs: NDArray[np.float32], codes: NDArray[np.int64]) -> None:
        self.estimator_, self.engine_ = fit_with(self.engine, clone(self.estimator), inputs, codes)

    def _probabilities(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.estimator_.predict_proba(inputs).astype(np.float32)  # type: ignore[no-any-return]

    def _prepare(self, X: Any) -> NDArray[np.float32]:
        check_is_fitted(self)
        return self._inputs(self._scale(check_pixels(self, X, reset=False)))

    def _scale(self, X: NDArray[Any]) -> NDArray[np.float32]:
        scaled = X.astype(np.float32)  # half of float64's memory: 170 MB for 54,000 images
        if self.scale != 1:
            scaled /= self.scale
        return scaled

    def _inputs(self, scaled: NDArray[np.float32]) -> NDArray[np.float32]:
        """The estimator's inputs; may overwrite `scaled`."""
        if self.mean_ is not None:
            scaled -= self.mean_
        return scaled if self.features_ is None else self.features_.transform(scaled)
