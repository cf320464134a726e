"""Arrays as people have them, as uint8 images and numbered labels.

Pixels may be bytes, integers, or floats that are 256 levels of 0..1 or whole numbers of 0..255.
Labels may be any integers, text, or one-hot rows. Nothing is guessed: what isn't plainly one of
these is refused, with the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fittingroom.errors import InputError

#: Images converted at once: floats take eight times the memory of the bytes that they become.
_AT_ONCE = 4096
#: How far a pixel may be from one of 256 levels, in levels: float32 and half floats round.
_ROUNDING = 0.13
#: Labels from here on aren't exact as floats; larger ones would become other labels.
_LARGEST = 2**53


def images_of(values: ArrayLike, what: str = "images") -> NDArray[np.uint8]:
    """Images (n, height, width) uint8, from grey images in any usual shape and type.

    Parameters
    ----------
    values : (n, height, width), (n, height, width, 1), (n, 1, height, width), or (n, pixels) of
        square images; integers 0..255, floats in 0..1 that are multiples of 1/255, or floats that
        are whole numbers 0..255
    what : what they are called in a message

    Raises
    ------
    InputError : anything else; says what was found, and the remedy
    """
    array = _array(values, what)
    images = _grey(array, what)
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf":
        remedy = "multiply them by 255" if images.dtype.kind == "b" else "give an array of numbers"
        raise InputError(f"{what} must be numbers from 0 to 255, not {images.dtype}; {remedy}.")
    low, high = (float(end) for end in (images.min(), images.max())) if images.size else (0.0, 0.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"{what} hold numbers that aren't finite; pixels go from 0 to 255.")
    if low < 0 or high > 255:
        remedy = "; stretch them to 0..255 and round them" if images.dtype.kind == "f" else ""
        raise InputError(
            f"{what} hold values from {low:g} to {high:g}; pixels go from 0 to 255{remedy}."
        )
    scale = 255 if images.dtype.kind == "f" and high <= 1 else 1
    converted = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), _AT_ONCE):
        part = images[start : start + _AT_ONCE]
        if part.dtype.kind == "f":
            levels = np.rint(part.astype(np.float32) * scale)
            if (np.abs(part.astype(np.float32) * scale - levels) > _ROUNDING).any():
                levels_of = "multiples of 1/255" if scale > 1 else "whole numbers"
                raise InputError(
                    f"{what} hold floats that aren't {levels_of}; give the pixels as they were "
                    "before they were standardised, or stretch them to 0..255 and round them."
                )
            part = levels
        converted[start : start + _AT_ONCE] = part
    return converted


def labels_of(values: ArrayLike, what: str = "labels") -> NDArray[Any]:
    """Labels (n,) as int64 or text, from any of the usual forms.

    Parameters
    ----------
    values : (n,) or (n, 1) integers, whole floats or text; or one-hot rows (n, classes)
    what : what they are called in a message

    Raises
    ------
    InputError : anything else; says what was found, and the remedy
    """
    array = _array(values, what)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    elif array.ndim == 2:
        array = _one_hot(array, what)
    if array.ndim != 1:
        raise InputError(
            f"{what} must have the shape (n,), not {array.shape}; the order is training images, "
            "training labels, test images, test labels."
        )
    if array.dtype.kind == "O" and all(isinstance(value, str) for value in array.tolist()):
        array = array.astype(str)
    if array.dtype.kind in "uf" and array.size and not (np.abs(array) < _LARGEST).all():
        raise InputError(f"{what} must be whole numbers below 2**53 or text, one for each image.")
    if array.dtype.kind == "f" and (array == np.rint(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iuU":
        raise InputError(
            f"{what} must be whole numbers or text, one for each image, not {array.dtype}."
        )
    return array if array.dtype.kind == "U" else array.astype(np.int64)


def number_labels(
    *parts: NDArray[Any], class_names: Sequence[str] | None = None
) -> tuple[list[NDArray[np.int64]], tuple[str, ...]]:
    """Labels as positions in the class names, and these names.

    Without names, the distinct labels in sorted order name the classes: the labels 1, 2 and 4
    become 0, 1 and 2, called "1", "2" and "4". With names, integers are positions in them already,
    and text is looked up.

    Parameters
    ----------
    parts : labels (n,) of each split, as :func:`labels_of` returns them
    class_names : one for each class

    Raises
    ------
    InputError : one part has text and another one numbers, or text that isn't among the names
    """
    if len({part.dtype.kind == "U" for part in parts}) > 1:
        raise InputError("some labels are text and others are numbers; use the same for all.")
    if class_names is not None and parts[0].dtype.kind != "U":
        return [part.astype(np.int64) for part in parts], tuple(class_names)
    distinct = np.unique(np.concatenate(parts))
    if class_names is None:
        class_names = [str(label) for label in distinct.tolist()]
    position = {name: i for i, name in enumerate(class_names)}
    if unknown := [label for label in distinct.tolist() if str(label) not in position]:
        raise InputError(f"the label {str(unknown[0])[:50]!r} isn't among the class names.")
    numbers = np.array([position[str(label)] for label in distinct.tolist()], np.int64)
    return [numbers[np.searchsorted(distinct, part)] for part in parts], tuple(class_names)


def _grey(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Images (n, height, width) of one channel; `array` may be a view or a memory map."""
    match array.shape:
        case (_, _, _):
            return array
        case (_, _, _, 1):
            return array[..., 0]
        case (_, 1, _, _):
            return array[:, 0]
        case (n, pixels) if pixels and math.isqrt(pixels) ** 2 == pixels:
            return array.reshape(n, math.isqrt(pixels), math.isqrt(pixels))
        case (_,):
            remedy = "these look like labels"
        case (_, _):
            remedy = "turn rows of pixels into images with .reshape(-1, height, width)"
        case (_, 3 | 4, _, _) | (_, _, _, 3 | 4):
            remedy = "convert colour images to grey first"
        case _:
            remedy = "give one grey image for each label"
    raise InputError(
        f"{what} must be an array (n, height, width), not of shape {array.shape}; {remedy}."
    )


def _one_hot(array: NDArray[Any], what: str) -> NDArray[np.int64]:
    """The position of the only 1 in each row."""
    numbers = array if array.dtype.kind in "biuf" else np.zeros(array.shape)  # which isn't one-hot
    is_one = np.asarray(numbers == 1)
    if not ((is_one | (numbers == 0)).all() and (is_one.sum(axis=1) == 1).all()):
        raise InputError(
            f"{what} must have the shape (n,), not {array.shape}; rows must be one-hot: a single 1 "
            "among zeros."
        )
    positions: NDArray[np.int64] = np.argmax(is_one, axis=1)
    return positions


def _array(values: ArrayLike, what: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # of lists, and of tensors on a GPU
        raise InputError(
            f"{what} can't be converted to an array ({error}); give an array."
        ) from error
