"""The figures of one set of predictions. A metric is a function and a row in `METRICS`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError
from fittingroom.evaluation.confusion import confusion_matrix

CLIP = 1e-7
"""Log loss counts no probability as smaller: one sure mistake costs 16.1, not infinity."""

SUM_TOLERANCE = 1e-3
"""How far a row's sum may be from one: wide enough for float16, too narrow for logits."""


def accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Share of images whose most probable class is the right one.

    `probabilities` is (n, c), `labels` (n,) in 0..c-1. Raises InputError for anything else.
    """
    return float(correctness(probabilities, labels).mean())


def macro_f1(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Mean of the classes' F1, each class counting the same.

    A class that is neither among the labels nor among the predictions doesn't count.
    """
    _check(probabilities, labels)
    # sklearn.metrics.f1_score takes 4.5 ms instead of 1.7, and differs in the last bit.
    matrix = confusion_matrix(probabilities, labels, probabilities.shape[1])
    return float(np.nanmean(matrix.f1))


def log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Mean of -log(probability of the right class) in nats, probabilities clipped at 1e-7."""
    _check(probabilities, labels)
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)  # (n,)
    return float(-np.log(np.clip(of_truth, CLIP, 1.0)).mean())


def correctness(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Which images are right: bool (n,). Of equal probabilities the lowest class counts."""
    _check(probabilities, labels)
    return np.asarray(probabilities.argmax(axis=1) == labels)


METRICS: dict[str, Callable[[NDArray[np.floating], NDArray[np.integer]], float]] = {
    "accuracy": accuracy,
    "macro_f1": macro_f1,
    "log_loss": log_loss,
}


def fault_of(probabilities: NDArray[np.floating]) -> tuple[int, str] | None:
    """The first row of (n, c) that is not a distribution, and in words what is wrong with it."""
    # One pass finds NaN and infinity too: neither is within the tolerance of 1.
    off = np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1.0)  # (n,)
    bad = np.flatnonzero(~(off <= SUM_TOLERANCE) | (probabilities.min(axis=1) < 0))
    if not len(bad):
        return None
    row = probabilities[bad[0]]
    if not np.isfinite(row).all():
        return int(bad[0]), "are not all finite"
    if (row < 0).any():
        return int(bad[0]), f"hold {row.min():.4g}, which is negative"
    return int(bad[0]), f"sum to {row.sum(dtype=np.float64):.4g}, not to 1"


def _check(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    if probabilities.ndim != 2 or labels.ndim != 1 or len(probabilities) != len(labels):
        raise InputError(
            f"probabilities of shape {probabilities.shape} don't fit labels of shape "
            f"{labels.shape}; give (images, classes) and (images,)."
        )
    if len(labels) == 0:
        raise InputError("there are no images to measure; give at least one.")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise InputError(
            f"labels run from {labels.min()} to {labels.max()} but the probabilities have "
            f"{probabilities.shape[1]} classes; labels must be class indices from 0."
        )
    if (found := fault_of(probabilities)) is not None:
        row, fault = found
        raise InputError(
            f"the probabilities of row {row} {fault}; they must be finite, not negative and sum to "
            "one."
        )
