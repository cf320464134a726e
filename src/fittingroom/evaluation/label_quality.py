"""Label errors, found by confident learning."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.evaluation.agreement import label_probabilities
from fittingroom.evaluation.frames import frame
from fittingroom.evaluation.metrics import correctness

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class LabelSuspects:
    """Images whose label is probably wrong.

    Attributes
    ----------
    positions : (k,) of the images, the most suspicious first
    given : (k,) their labels
    suggested : (k,) the most probable of the other classes
    confidence : (k,) the predicted probability of the label
    method : the method that selected them
    """

    positions: NDArray[np.int64]
    given: NDArray[np.int64]
    suggested: NDArray[np.int64]
    confidence: NDArray[np.float64]
    method: str

    def __len__(self) -> int:
        return len(self.positions)

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "suspects": [
                {"position": int(p), "given": int(g), "suggested": int(s), "confidence": float(c)}
                for p, g, s, c in zip(
                    self.positions, self.given, self.suggested, self.confidence, strict=True
                )
            ],
        }

    def to_frame(self) -> DataFrame:
        """One row per suspect. Raises UsageError if pandas isn't installed."""
        return frame(self.to_dict()["suspects"])


def label_suspects(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> LabelSuspects:
    """Find the labels that out-of-sample probabilities contradict.

    Uses cleanlab's ``find_label_issues`` if cleanlab is installed. Otherwise an image is a suspect
    if its :func:`confident_class` isn't its label.

    Parameters
    ----------
    probabilities : (n, c), of models that weren't trained on these images
    labels : (n,) in 0..c-1

    Raises
    ------
    InputError : the shapes don't match
    """
    correctness(probabilities, labels)
    if find_spec("cleanlab") and labels.min() < labels.max():  # it refuses a single class
        suspects, method = _by_cleanlab(probabilities, labels), "cleanlab's find_label_issues"
    else:
        confident = confident_class(probabilities, labels)
        suspects = np.flatnonzero((confident >= 0) & (confident != labels))
        method = "confident learning (another class above its own threshold)"
    confidence = label_probabilities(probabilities, labels)
    suspects = suspects[np.argsort(confidence[suspects], kind="stable")]
    without_label = probabilities[suspects].copy()
    without_label[np.arange(len(suspects)), labels[suspects]] = -1
    return LabelSuspects(
        positions=suspects,
        given=labels[suspects].astype(np.int64),
        suggested=without_label.argmax(axis=1),
        confidence=confidence[suspects],
        method=method,
    )


def confident_class(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The class that each image confidently belongs to, (n,); -1 if there is none.

    An image confidently belongs to a class if its probability of that class is at least the mean
    over the images with that label; of several such classes the most probable counts. Northcutt,
    Jiang and Chuang 2021, "Confident Learning", arXiv 1911.00068, equation 1. No image confidently
    belongs to a class without images.

    Parameters
    ----------
    probabilities : (n, c)
    labels : (n,) in 0..c-1
    """
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    sums = np.bincount(labels, label_probabilities(probabilities, labels), minlength=len(counts))
    thresholds = np.full(len(counts), np.inf)
    np.divide(sums, counts, out=thresholds, where=counts > 0)
    confident = probabilities >= thresholds  # (n, c)
    best = np.where(confident, probabilities, -1).argmax(axis=1)
    return np.where(confident.any(axis=1), best, -1)


def _by_cleanlab(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> NDArray[np.int64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about progress bars in notebooks and small classes
        from cleanlab.filter import find_label_issues

        positions = find_label_issues(
            labels.astype(np.int64),
            probabilities.astype(np.float64),
            return_indices_ranked_by="self_confidence",
            n_jobs=1,
        )
    return np.asarray(positions, np.int64)
