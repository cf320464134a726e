"""Check that images are plausible: pixels of 0 to 255 that show something.

Integers don't say that they were meant as 0..1 or 0..16, and a picture that lost its transparency
is still valid. A model fitted on such images is worthless, so they are refused; what is only
strange is logged. A sample is checked, since all may take many gigabytes.
"""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.mapped import MappedRows, memory_map
from fittingroom.errors import InputError

#: Pixels with no more range than this are on another scale: scikit-learn's digits go from 0 to 16.
#: Those with less range than `DARK` may be.
NARROW, DARK = 16, 64

#: Fewer images than this may all be the same.
FEW = 10

_PLACES, _RUN = 64, 16  # of the sample: number of places, and images from each
_SAMPLE_BYTES = 64 << 20

logger = logging.getLogger("fittingroom.data")


def check_images(images: NDArray[np.uint8], labels: NDArray[np.int64], split: str) -> None:
    """Refuse images that aren't on the scale 0..255, or that show nothing.

    Parameters
    ----------
    images : uint8 (n, height, width)
    labels : int64 (n,)
    split : "training" or "test", for the message

    Raises
    ------
    InputError
        All pixels lie within 16 levels; ten or more images are all the same; or there are fewer
        distinct training images than classes.
    """
    positions = _positions(images)
    sample = _rows(images, positions)
    present = np.zeros(256, bool)
    for image in sample:
        present |= np.bincount(image.ravel(), minlength=256) > 0
    values = np.flatnonzero(present)
    low, high = int(values[0]), int(values[-1])
    copies = Counter(image.tobytes() for image in sample)
    if len(sample) >= FEW:
        _check_content(copies, labels[positions], split, low, high)
    if low < high:
        _check_range(low, high, split)
    if 0 < high - low < DARK:
        logger.warning(
            "the pixels of the %s images go from %d to %d, where 0 is black and 255 white; if "
            "that is their full scale, stretch it to 0..255.",
            *(split, low, high),
        )
    elif ((values < 5) | (values > 250)).all() and ((values > 0) & (values < 5)).any():
        logger.warning(
            "the %s images hold no pixels but %s, like floats around 0 that were cast to bytes; "
            "stretch them to 0..255 before casting.",
            *(split, ", ".join(map(str, values))),
        )
    most = max(copies.values())
    if most > max(FEW, len(sample) // 2):
        logger.warning(
            "%d of the %d %s images checked are identical; was something lost?",
            *(most, len(sample), split),
        )


def _check_content(
    copies: Counter[bytes], labels: NDArray[np.int64], split: str, low: int, high: int
) -> None:
    """Refuse images that are all the same, or too few distinct ones to learn `labels` from."""
    if low == high:
        raise InputError(
            f"every pixel of the {split} images is {low}, so they show nothing; check how they "
            "were made: was transparency dropped, or were floats in 0..1 cast to integers?"
        )
    if len(copies) == 1:
        raise InputError(f"the {split} images are all the same image; check how they were made.")
    n_classes = len(np.unique(labels))
    if split == "training" and len(copies) < n_classes:
        raise InputError(
            f"only {len(copies)} training images are distinct, but they have {n_classes} labels, "
            "so no model can tell the classes apart; check how they were made."
        )


def _check_range(low: int, high: int, split: str) -> None:
    """Refuse pixels of another scale than 0..255; `low` is less than `high`."""
    if high <= 1:
        raise InputError(
            f"pixels go from 0 to 255, but the {split} images hold only 0 and 1; multiply them by "
            "255 (floats before casting them to integers)."
        )
    if high - low <= NARROW:
        stretched = f"(images - {low})" if low else "images"
        raise InputError(
            f"pixels must span 0 to 255, but the {split} images span only {low} to {high}; "
            f"stretch them: {stretched} * 255 / {high - low}, rounded."
        )


def _positions(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Positions of the sample: all images if they are few, else runs from all over."""
    affordable = _SAMPLE_BYTES // _PLACES // max(1, images[:1].nbytes)
    run = min(max(affordable, 1), _RUN)
    if len(images) <= _PLACES * run:
        return np.arange(len(images))
    starts = np.linspace(0, len(images) - run, _PLACES).astype(np.int64)
    return (starts[:, None] + np.arange(run)).ravel()


def _rows(images: NDArray[np.uint8], positions: NDArray[np.int64]) -> NDArray[np.uint8]:
    if len(positions) == len(images):
        return images
    if memory_map(images) is None:
        return images[positions]
    rows = MappedRows(images)
    runs = np.split(positions, _PLACES)
    return np.concatenate([rows[int(run[0]) : int(run[-1]) + 1] for run in runs])
