"""Checks the input of every classifier: rows of pixels in 0..255, and labels."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, validate_data

from fittingroom.data.mapped import MappedRows
from fittingroom.data.plausible import FEW, NARROW
from fittingroom.errors import InputError

#: Rows shorter than 7 × 7 aren't images, so their scale isn't checked.
SMALLEST_IMAGE = 49
#: The number of images of a memory map to check.
_MAPPED_SAMPLE = 64


def check_pixels(
    estimator: BaseEstimator, X: Any, *, reset: bool, any_scale: bool = False
) -> np.ndarray:
    """Validate images as scikit-learn validates a matrix, and check their scale, too.

    Every estimator scales pixels itself, so images already scaled to 0..1 would be scaled twice and
    give a silently worse model; they are refused.

    Parameters
    ----------
    estimator : the estimator that is fitted or predicts; ``n_features_in_`` is set on it
    X : (n, height*width), (n, height, width), or that with a single channel; pixels in 0..255,
        integers or floats
    reset : True in ``fit``, False in ``predict`` (the width must then be that of ``fit``)
    any_scale : whether the estimator learns as well from standardised numbers, or from another
        scale than 0..255

    Returns
    -------
    array (n, height*width); numbers keep their type, such as uint8, and aren't copied

    Raises
    ------
    InputError : no value above 1, as in images divided by 255; in ``fit`` only one value or, if the
        scale matters, standardised numbers, no value above 16 or some above 255; in ``predict``,
        standardised numbers if those of ``fit`` weren't
    ValueError : NaN, infinity, no rows, a wrong width, or not a numeric array
    """
    pixels: np.ndarray = validate_data(estimator, _rows(estimator, X, reset), reset=reset)
    pixels = np.ascontiguousarray(pixels)
    _check_scale(estimator, pixels, reset, any_scale)
    return pixels


def check_pixels_and_labels(
    estimator: BaseEstimator, X: Any, y: Any, *, any_scale: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """As ``check_pixels`` in ``fit``, with labels (n,): numbers or strings, none missing."""
    X, y = validate_data(estimator, _rows(estimator, X, reset=True), y, reset=True)
    X = np.ascontiguousarray(X)  # a frame has its columns one after another, which sums otherwise
    check_classification_targets(y)
    _check_scale(estimator, X, True, any_scale)
    return X, y


def image_shape(X: Any) -> tuple[int, int] | None:
    """Height and width of an array of images; None if it has rows of pixels."""
    shape = tuple(getattr(X, "shape", ()))
    if isinstance(X, list | tuple):
        with suppress(ValueError):  # ragged lists have no shape
            shape = np.shape(X)
    if len(shape) == 4 and 1 in (shape[1], shape[3]):
        shape = shape[:1] + (shape[2:] if shape[1] == 1 else shape[1:3])
    return (shape[1], shape[2]) if len(shape) == 3 and 0 not in shape else None


def check_mapped(estimator: BaseEstimator, X: MappedRows, *, reset: bool) -> MappedRows:
    """As ``check_pixels``, without reading all: only the first images are checked."""
    sample = X[:_MAPPED_SAMPLE]
    sample = validate_data(estimator, sample.reshape(len(sample), -1), reset=reset)
    if sample.min() < sample.max():
        _check_scale(estimator, sample, reset, False)
    return X


def check_mapped_and_labels(
    estimator: BaseEstimator, X: MappedRows, y: Any
) -> tuple[MappedRows, np.ndarray]:
    """As ``check_mapped`` in ``fit``, with labels (n,) as in ``check_pixels_and_labels``."""
    y = validate_data(estimator, "no_validation", y)
    check_consistent_length(X, y)
    check_classification_targets(y)
    return check_mapped(estimator, X, reset=True), y


def as_pixels(X: NDArray[Any]) -> NDArray[np.uint8] | None:
    """The same numbers as uint8; None if some aren't integers in 0..255."""
    if X.dtype == np.uint8:
        return X
    if X.min() < 0 or X.max() > 255:
        return None
    pixels = X.astype(np.uint8)
    return pixels if np.array_equal(pixels, X) else None


def _rows(estimator: BaseEstimator, X: Any, reset: bool) -> Any:
    """Images as rows (n, pixels); scikit-learn checks anything that isn't an array of images."""
    if image_shape(X) is not None:
        X = np.asarray(X)
        return X.reshape(len(X), -1)
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) == 4 and {shape[1], shape[3]} & {3, 4}:
        raise InputError(
            f"images have the shape {shape}; convert them to grey, (n, height, width), first."
        )
    pixels = 0 if reset else getattr(estimator, "n_features_in_", 0)
    if len(shape) == 2 and shape[1] != pixels == shape[0] * shape[1] >= SMALLEST_IMAGE:
        raise InputError(
            f"this is one image of {shape[0]}×{shape[1]}, not an array of images; "
            "pass image[None] for a single one."
        )
    return X


def _check_scale(estimator: BaseEstimator, X: np.ndarray, reset: bool, any_scale: bool) -> None:
    if X.shape[1] < SMALLEST_IMAGE:
        return
    low, high = float(X.min()), float(X.max())
    kind = "floats" if X.dtype.kind == "f" else "integers"
    # In prediction, a few images of bytes may be that dark.
    if high <= 1 and low < high and (reset or kind == "floats" or len(X) >= FEW):
        raise InputError(
            f"pixels must be in 0..255, but the largest of these {kind} is {high:.6g}; "
            "pass the images unscaled (multiply by 255): each classifier scales them itself."
        )
    if reset and low == high:
        raise InputError(f"every pixel of these images is {high:g}: there is nothing to learn.")
    standardized = low < 0 and float(X.std()) < NARROW
    if reset:
        estimator._standardized = standardized
    elif standardized and not getattr(estimator, "_standardized", False):
        raise InputError(_scale_error(kind, low, high, "scale them like those of fit"))
    if any_scale or not reset:
        return
    if standardized:
        raise InputError(_scale_error(kind, low, high, "pass the images before standardising"))
    if low >= 0 and (high <= NARROW or high > 255):
        raise InputError(_scale_error(kind, low, high, f"multiply them by 255 / {high:.6g}"))


def _scale_error(kind: str, low: float, high: float, remedy: str) -> str:
    return (
        f"pixels must be in 0..255, but these {kind} range from {low:.6g} to {high:.6g}; {remedy}: "
        "each classifier scales them itself."
    )
