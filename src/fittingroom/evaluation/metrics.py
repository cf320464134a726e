"""Metrics of one set of predictions. A metric is a function and a row in `METRICS`.

Accuracy and balanced accuracy aren't rows: models are ranked by one of them, which alone has an
interval and tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError
from fittingroom.evaluation.confusion import confusion_matrix
from fittingroom.evaluation.correctness import mean_over_images

CLIP = 1e-7
"""Log loss clips probabilities at this: a confident mistake costs 16.1 nats, not infinity."""

SUM_TOLERANCE = 1e-3
"""How far the sum of a row may be from 1: wide enough for float16, too narrow for logits."""


def accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The share of images whose most probable class is their label.

    `probabilities` is (n, c), `labels` (n,) in 0..c-1. Raises InputError for anything else.
    """
    return float(correctness(probabilities, labels).mean())


def balanced_accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The mean over the classes of `labels` of the share of their images that is right.

    Shapes and errors as for `accuracy`.
    """
    return mean_over_images(correctness(probabilities, labels).astype(np.int64), 1, labels)


def macro_f1(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The unweighted mean of the F1 scores of all classes.

    A class that is in neither the labels nor the predictions is left out. Shapes and errors as for
    `accuracy`.
    """
    _check_predictions(probabilities, labels)
    # sklearn.metrics.f1_score takes 4.5 ms instead of 1.7, and differs in the last bit.
    matrix = confusion_matrix(probabilities, labels, probabilities.shape[1])
    return float(np.nanmean(matrix.f1))


def log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The mean of -log(probability of the label) in nats, with probabilities clipped at 1e-7.

    Shapes and errors as for `accuracy`.
    """
    _check_predictions(probabilities, labels)
    of_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)  # (n,)
    return float(-np.log(np.clip(of_label, CLIP, 1.0)).mean())


def correctness(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Which images are classified correctly, bool (n,).

    If probabilities tie, the lowest class counts. Shapes and errors as for `accuracy`.
    """
    _check_predictions(probabilities, labels)
    return np.asarray(probabilities.argmax(axis=1) == labels)


@dataclass(frozen=True)
class Metric:
    """A figure that every table shows beside the accuracy, as a mean over seeds.

    Attributes
    ----------
    compute : takes probabilities (n, c) and labels (n,), as `accuracy` does
    title : its heading in a table
    digits : after the decimal point
    hub : its name in the Hugging Face Hub's model cards
    """

    compute: Callable[[NDArray[np.floating], NDArray[np.integer]], float]
    title: str
    digits: int
    hub: str

    @property
    def heading(self) -> str:
        """The title with a capital letter."""
        return self.title[0].upper() + self.title[1:]

    def text(self, value: float) -> str:
        return f"{value:.{self.digits}f}"


#: By the key in `leaderboard.json` and the column's name in CSV files.
METRICS: dict[str, Metric] = {
    "macro_f1": Metric(macro_f1, "macro F1", 4, "f1"),
    "log_loss": Metric(log_loss, "log loss", 3, "log_loss"),
}


def find_fault(probabilities: NDArray[np.floating]) -> tuple[int, str] | None:
    """The first row of (n, c) that isn't a distribution, and what is wrong with it in words.

    None if all rows are distributions.
    """
    # This finds NaN and infinity too: neither is within the tolerance of 1.
    error = np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1.0)  # (n,)
    bad = np.flatnonzero(~(error <= SUM_TOLERANCE) | (probabilities.min(axis=1) < 0))
    if not len(bad):
        return None
    row = probabilities[bad[0]]
    if not np.isfinite(row).all():
        return int(bad[0]), "are not all finite"
    if (row < 0).any():
        return int(bad[0]), f"contain {row.min():.4g}, which is negative"
    return int(bad[0]), f"sum to {row.sum(dtype=np.float64):.4g}, not to 1"


def _check_predictions(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    if probabilities.ndim != 2 or labels.ndim != 1 or len(probabilities) != len(labels):
        raise InputError(
            f"probabilities of shape {probabilities.shape} don't match labels of shape "
            f"{labels.shape}; give (images, classes) and (images,)."
        )
    if len(labels) == 0:
        raise InputError("there are no predictions to evaluate; give at least one image's.")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise InputError(
            f"labels run from {labels.min()} to {labels.max()} but the probabilities have "
            f"{probabilities.shape[1]} classes; labels must be class indices from 0."
        )
    if (row_and_fault := find_fault(probabilities)) is not None:
        row, fault = row_and_fault
        raise InputError(
            f"the probabilities of row {row} {fault}; they must be finite, non-negative and sum "
            "to one."
        )
