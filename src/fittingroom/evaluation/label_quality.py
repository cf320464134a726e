"""Which labels are probably wrong: confident learning."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.evaluation.agreement import of_label
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
    given, suggested : (k,) the label, and the class that the probabilities speak for
    confidence : (k,) the probability of the given label
    method : what found them
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
        """A line a suspect. Raises UsageError without pandas."""
        return frame(self.to_dict()["suspects"])


def label_suspects(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> LabelSuspects:
    """Find the labels that out-of-sample probabilities contradict.

    By cleanlab's ``find_label_issues`` where cleanlab is installed, by :func:`confident_class`
    where it isn't: then a suspect is an image that is confidently of another class than its own.

    Parameters
    ----------
    probabilities : (n, c), of models that were not trained on these images
    labels : (n,) in 0..c-1

    Raises
    ------
    InputError : shapes don't fit
    """
    correctness(probabilities, labels)
    if find_spec("cleanlab") and labels.min() < labels.max():  # it refuses labels of one class
        found, method = _by_cleanlab(probabilities, labels), "cleanlab's find_label_issues"
    else:
        counted = confident_class(probabilities, labels)
        found = np.flatnonzero((counted >= 0) & (counted != labels))
        method = "confident learning (another class above its own threshold)"
    confidence = of_label(probabilities, labels)
    found = found[np.argsort(confidence[found], kind="stable")]
    others = probabilities[found].copy()
    others[np.arange(len(found)), labels[found]] = -1
    return LabelSuspects(
        positions=found,
        given=labels[found].astype(np.int64),
        suggested=others.argmax(axis=1),
        confidence=confidence[found],
        method=method,
    )


def confident_class(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The class (n,) that each image is confidently of; -1 for none.

    That is a class of which it gets at least the mean probability that images with that label get;
    of several such classes the most probable. Northcutt, Jiang and Chuang 2021, "Confident
    Learning", arXiv 1911.00068, equation 1. Of a class without images nothing is confidently.
    """
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    sums = np.bincount(labels, of_label(probabilities, labels), minlength=len(counts))
    thresholds = np.full(len(counts), np.inf)
    np.divide(sums, counts, out=thresholds, where=counts > 0)
    sure = probabilities >= thresholds  # (n, c)
    best = np.where(sure, probabilities, -1).argmax(axis=1)
    return np.where(sure.any(axis=1), best, -1)


def _by_cleanlab(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer]
) -> NDArray[np.int64]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the progress bars of notebooks, of classes of few
        from cleanlab.filter import find_label_issues

        found = find_label_issues(
            labels.astype(np.int64),
            probabilities.astype(np.float64),
            return_indices_ranked_by="self_confidence",
            n_jobs=1,
        )
    return np.asarray(found, np.int64)
