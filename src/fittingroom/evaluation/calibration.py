"""Calibration: reliability diagrams and temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from fittingroom.errors import InputError
from fittingroom.evaluation.frames import frame
from fittingroom.evaluation.metrics import CLIP, correctness

if TYPE_CHECKING:
    from pandas import DataFrame

#: The range of temperatures searched: from almost one-hot to almost uniform.
COLDEST, HOTTEST = 0.05, 20.0
BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram: images binned by the probability of the predicted class.

    Attributes
    ----------
    edges : (bins + 1,) equally spaced from 0 to 1; a bin includes its upper edge
    counts : (bins,) images per bin
    confidence : (bins,) mean probability of the predicted class; NaN for an empty bin
    accuracy : (bins,) share of correctly classified images; NaN for an empty bin
    chance_sd : (bins,) standard deviation that the accuracy would have if the probabilities were
        perfectly calibrated; NaN for an empty bin
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    chance_sd: NDArray[np.float64]

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance between accuracy and confidence, weighted by the number of images per bin.

        Naeini, Cooper and Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian
        Binning", equation 3.
        """
        distance = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(self.counts * distance) / self.counts.sum())

    @property
    def error_by_chance(self) -> float:
        """The calibration error to expect from perfectly calibrated probabilities.

        The accuracy of a bin varies by chance (Bröcker and Smith 2007, Weather and Forecasting
        22:651-661). The mean absolute deviation of a normal variable is √(2/π) standard deviations.
        """
        deviations = np.sqrt(2 / np.pi) * self.chance_sd
        return float(np.nansum(self.counts * deviations) / self.counts.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers; the confidence and accuracy of an empty bin are None."""
        return {
            "expected_calibration_error": self.expected_calibration_error,
            "error_by_chance": self.error_by_chance,
            "bins": [
                {
                    "low": float(low),
                    "high": float(high),
                    "count": int(count),
                    "confidence": float(confidence) if count else None,
                    "accuracy": float(accuracy) if count else None,
                }
                for low, high, count, confidence, accuracy in zip(
                    self.edges[:-1],
                    self.edges[1:],
                    self.counts,
                    self.confidence,
                    self.accuracy,
                    strict=True,
                )
            ],
        }

    def to_frame(self) -> DataFrame:
        """One row per bin. Raises UsageError if pandas isn't installed."""
        return frame(self.to_dict()["bins"])


def reliability(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS
) -> Reliability:
    """How often the predicted class is right, depending on its probability.

    Parameters
    ----------
    probabilities : (n, c)
    labels : (n,) in 0..c-1
    bins : number of bins, at least 1

    Raises
    ------
    InputError : invalid shapes, values or number of bins
    """
    right = correctness(probabilities, labels)
    if bins < 1:
        raise InputError(f"the number of bins must be at least 1, not {bins}.")
    confidence = probabilities.max(axis=1).astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    # np.histogram and SciPy's binned_statistic would put an edge into the bin above it.
    bin_of = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)  # (n,)
    counts = np.bincount(bin_of, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            edges=edges,
            counts=counts,
            confidence=np.bincount(bin_of, confidence, minlength=bins) / counts,
            accuracy=np.bincount(bin_of, right, minlength=bins) / counts,
            chance_sd=np.sqrt(np.bincount(bin_of, confidence * (1 - confidence), bins)) / counts,
        )


def fit_temperature(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature that minimises the log loss: above 1 for an overconfident model.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599, section 4.2.
    The logarithms of the probabilities serve as logits; the two differ by a constant per image,
    which cancels. Use images that weren't used to choose anything else.

    Parameters
    ----------
    probabilities : (n, c)
    labels : (n,) in 0..c-1

    Returns
    -------
    a temperature in 0.05 … 20

    Raises
    ------
    InputError : invalid shapes or values
    """
    correctness(probabilities, labels)
    return best_temperature(_clipped_logs(probabilities), labels, COLDEST, HOTTEST)


def best_temperature(
    logits: NDArray[np.floating], labels: NDArray[np.integer], coldest: float, hottest: float
) -> float:
    """The temperature T at which softmax(logits / T) has the lowest mean log loss.

    Parameters
    ----------
    logits : (n, c)
    labels : (n,) in 0..c-1
    coldest, hottest : the range to search
    """

    def loss(exponent: float) -> float:
        scaled = log_softmax(logits / np.exp(exponent), axis=1)
        return -float(scaled[np.arange(len(labels)), labels].mean())

    bounds = np.log(coldest), np.log(hottest)
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def at_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Rescale probabilities (n, c) by a temperature; the order of the classes stays the same.

    Raises InputError unless the temperature is above 0.
    """
    if not temperature > 0:
        raise InputError(f"the temperature must be above 0, not {temperature}.")
    return np.asarray(softmax(_clipped_logs(probabilities) / temperature, axis=1))


def _clipped_logs(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    # In float32 a small probability may underflow to 0, and would stay 0 at any temperature.
    clipped = np.clip(probabilities, CLIP, 1.0, dtype=np.float64)
    return np.asarray(np.log(clipped))
