"""What every classifier of the catalogue takes: rows of pixels in 0..255, and labels."""

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

#: Rows shorter than 7 × 7 are no photographs, so their scale isn't ours to judge.
SMALLEST_IMAGE = 49
#: Of a memory map only so many images are looked at.
_MAPPED_SAMPLE = 64


def check_pixels(
    estimator: BaseEstimator, X: Any, *, reset: bool, any_scale: bool = False
) -> np.ndarray:
    """Validate images as scikit-learn validates a matrix, and their scale too.

    Every estimator scales pixels itself, so an array that somebody already scaled to 0..1 would
    be scaled twice and give a silently worse model; it is refused.

    Parameters
    ----------
    estimator : the estimator that is fitted or that predicts; gets ``n_features_in_``
    X : (n, height*width), (n, height, width), or that with one channel more; pixels in 0..255,
        integers or floats
    reset : True in ``fit``, False in ``predict`` (the width must then be that of ``fit``)
    any_scale : whether the estimator learns as well from numbers that were standardised, or whose
        scale is another than 0..255

    Returns
    -------
    array (n, height*width); numbers keep their type (uint8 among them), no copy is made

    Raises
    ------
    InputError : nothing above 1, as images divided by 255 have it; in ``fit`` one value alone, and
        where the scale matters, numbers that were standardised, nothing above 16 or something
        above 255; in ``predict``, standardised numbers where those of ``fit`` weren't
    ValueError : NaN, infinity, no rows, a wrong width, anything that is no numeric array
    """
    X = validate_data(estimator, _rows(estimator, X, reset), reset=reset)
    _check_scale(estimator, X, reset, any_scale)
    return X  # type: ignore[no-any-return]


def check_pixels_and_labels(
    estimator: BaseEstimator, X: Any, y: Any, *, any_scale: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """As ``check_pixels`` in ``fit``, with the labels (n,): numbers or strings, none missing."""
    X, y = validate_data(estimator, _rows(estimator, X, reset=True), y, reset=True)
    check_classification_targets(y)
    _check_scale(estimator, X, True, any_scale)
    return X, y


def image_shape(X: Any) -> tuple[int, int] | None:
    """Height and width of an array of images; None where it has rows of pixels."""
    shape = tuple(getattr(X, "shape", ()))
    if isinstance(X, list | tuple):
        with suppress(ValueError):  # lists of several lengths have no shape
            shape = np.shape(X)
    if len(shape) == 4 and 1 in (shape[1], shape[3]):
        shape = shape[:1] + (shape[2:] if shape[1] == 1 else shape[1:3])
    return (shape[1], shape[2]) if len(shape) == 3 and 0 not in shape else None


def check_mapped(estimator: BaseEstimator, X: MappedRows, *, reset: bool) -> MappedRows:
    """As ``check_pixels``, without reading all: the first images tell their number and scale."""
    some = X[:_MAPPED_SAMPLE]
    some = validate_data(estimator, some.reshape(len(some), -1), reset=reset)
    if some.min() < some.max():
        _check_scale(estimator, some, reset, False)
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


def _rows(estimator: BaseEstimator, X: Any, reset: bool) -> Any:
    """Images as rows (n, pixels); scikit-learn checks anything that isn't an array of images."""
    if image_shape(X) is not None:
        X = np.asarray(X)
        return X.reshape(len(X), -1)
    shape = tuple(getattr(X, "shape", ()))
    if len(shape) == 4 and {shape[1], shape[3]} & {3, 4}:
        raise InputError(
            f"images have the shape {shape}; make coloured ones grey, (n, height, width), first."
        )
    pixels = 0 if reset else getattr(estimator, "n_features_in_", 0)
    if len(shape) == 2 and shape[1] != pixels == shape[0] * shape[1] >= SMALLEST_IMAGE:
        raise InputError(
            f"one image of {shape[0]}×{shape[1]} was given, not an array of images; "
            "give images[None] for a single one."
        )
    return X


def _check_scale(estimator: BaseEstimator, X: np.ndarray, reset: bool, any_scale: bool) -> None:
    if X.shape[1] < SMALLEST_IMAGE:
        return
    low, high = float(X.min()), float(X.max())
    kind = "floats" if X.dtype.kind == "f" else "integers"
    # Of a few images that are predicted, bytes may be so dark.
    if high <= 1 and low < high and (reset or kind == "floats" or len(X) >= FEW):
        raise InputError(
            f"pixels must lie in 0..255, and the largest of these {kind} is {high:.6g}; "
            "pass the images unscaled (multiply by 255), each classifier scales them itself."
        )
    if reset and low == high:
        raise InputError(f"every pixel of these images is {high:g}, so they teach nothing.")
    standardized = low < 0 and float(X.std()) < NARROW
    if reset:
        estimator._standardized = standardized
    elif standardized and not getattr(estimator, "_standardized", False):
        raise InputError(_outside(kind, low, high, "pass them as those of fit"))
    if any_scale or not reset:
        return
    if standardized:
        raise InputError(_outside(kind, low, high, "pass the images before they are standardised"))
    if low >= 0 and (high <= NARROW or high > 255):
        raise InputError(_outside(kind, low, high, f"multiply them by 255 / {high:.6g}"))


def _outside(kind: str, low: float, high: float, remedy: str) -> str:
    return (
        f"pixels must lie in 0..255, and these {kind} go from {low:.6g} to {high:.6g}; {remedy}, "
        "each classifier scales them itself."
    )
