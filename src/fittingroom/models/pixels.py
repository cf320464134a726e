"""What every classifier of the catalogue takes: rows of pixels in 0..255, and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, validate_data

from fittingroom.data.mapped import MappedRows
from fittingroom.errors import InputError

#: Rows shorter than 7 × 7 are no photographs, so their scale isn't ours to judge.
SMALLEST_IMAGE = 49


def check_pixels(estimator: BaseEstimator, X: Any, *, reset: bool) -> np.ndarray:
    """Validate images as scikit-learn validates a matrix, and their scale too.

    Every estimator scales pixels itself, so an array that somebody already scaled to 0..1 would
    be scaled twice and give a silently worse model; it is refused.

    Parameters
    ----------
    estimator : the estimator that is fitted or that predicts; gets ``n_features_in_``
    X : array (n, height*width) or (n, height, width), pixels in 0..255, integers or floats
    reset : True in ``fit``, False in ``predict`` (the width must then be that of ``fit``)

    Returns
    -------
    array (n, height*width); numbers keep their type (uint8 among them), no copy is made

    Raises
    ------
    InputError : floats of at most 1, as images divided by 255 have them
    ValueError : NaN, infinity, no rows, a wrong width, anything that is no numeric array
    """
    X = validate_data(estimator, _rows(X), reset=reset)
    _refuse_scaled(X)
    return X  # type: ignore[no-any-return]


def check_pixels_and_labels(
    estimator: BaseEstimator, X: Any, y: Any
) -> tuple[np.ndarray, np.ndarray]:
    """As ``check_pixels`` in ``fit``, with the labels (n,): numbers or strings, none missing."""
    X, y = validate_data(estimator, _rows(X), y, reset=True)
    check_classification_targets(y)
    _refuse_scaled(X)
    return X, y


def check_mapped(estimator: BaseEstimator, X: MappedRows, *, reset: bool) -> MappedRows:
    """As ``check_pixels``, without reading all: bytes are pixels, one image tells their number."""
    validate_data(estimator, X[:1].reshape(1, -1), reset=reset)
    return X


def check_mapped_and_labels(
    estimator: BaseEstimator, X: MappedRows, y: Any
) -> tuple[MappedRows, np.ndarray]:
    """As ``check_mapped`` in ``fit``, with the labels (n,) as ``check_pixels_and_labels``."""
    y = validate_data(estimator, "no_validation", y)
    check_consistent_length(X, y)
    check_classification_targets(y)
    return check_mapped(estimator, X, reset=True), y


def whole_pixels(X: NDArray[Any]) -> NDArray[np.uint8] | None:
    """The same numbers in a byte each; None where some are not whole or not in 0..255."""
    if X.dtype == np.uint8:
        return X
    if X.min() < 0 or X.max() > 255:
        return None
    pixels = X.astype(np.uint8)
    return pixels if np.array_equal(pixels, X) else None


def _rows(X: Any) -> Any:
    if isinstance(X, np.ndarray) and X.ndim == 3:
        return X.reshape(len(X), X.shape[1] * X.shape[2])
    return X


def _refuse_scaled(X: np.ndarray) -> None:
    if X.dtype.kind != "f" or X.shape[1] < SMALLEST_IMAGE:
        return
    largest = float(X.max())
    # An all-black image is the same at either scale.
    if largest <= 1 and X.any():
        raise InputError(
            f"pixels must lie in 0..255, and the largest of these floats is {largest:.6g}; "
            "pass the images unscaled (multiply by 255), each classifier scales them itself."
        )
