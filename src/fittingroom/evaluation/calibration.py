"""Do probabilities mean what they say? Reliability, and a temperature that mends it."""

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

#: Temperatures that are tried: from hardly more than labels alone to nearly no opinion.
COLDEST, HOTTEST = 0.05, 20.0
BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """Images by how sure the model was of its prediction, in bins of equal width.

    Attributes
    ----------
    edges : (bins + 1,) from 0 to 1; a bin holds its upper edge
    counts : (bins,) images
    confidence, accuracy : (bins,) mean probability of the predicted class, share that was right;
        NaN in a bin without images
    chance_sd : (bins,) standard deviation of the share that is right, were each image right with
        the probability that it has; NaN as above
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    chance_sd: NDArray[np.float64]

    @property
    def expected_calibration_error(self) -> float:
        """Mean distance of accuracy from confidence, bins weighted by their images.

        Naeini, Cooper and Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian
        Binning", equation 3.
        """
        distance = np.abs(self.accuracy - self.confidence)
        return float(np.nansum(self.counts * distance) / self.counts.sum())

    @property
    def error_by_chance(self) -> float:
        """The expected calibration error of perfect probabilities on so many images.

        Chance alone moves the share that is right in each bin (Bröcker and Smith 2007, Weather and
        Forecasting 22:651-661): by √(2/π) standard deviations on average, where it is normal.
        """
        moved = np.sqrt(2 / np.pi) * self.chance_sd
        return float(np.nansum(self.counts * moved) / self.counts.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain lists; what an empty bin has no figure for is None."""
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
        """A line a bin. Raises UsageError without pandas."""
        return frame(self.to_dict()["bins"])


def reliability(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS
) -> Reliability:
    """How often the most probable class is right, by its probability.

    `probabilities` is (n, c), `labels` (n,) in 0..c-1. Raises InputError for anything else.
    """
    right = correctness(probabilities, labels)
    if bins < 1:
        raise InputError(f"{bins} bins can't hold anything; give at least one.")
    confidence = probabilities.max(axis=1).astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            edges=edges,
            counts=counts,
            confidence=np.bincount(place, confidence, minlength=bins) / counts,
            accuracy=np.bincount(place, right, minlength=bins) / counts,
            chance_sd=np.sqrt(np.bincount(place, confidence * (1 - confidence), bins)) / counts,
        )


def fit_temperature(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """The temperature at which the log loss is least: above 1 for a model that is too sure.

    Guo and others 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599, section 4.2.
    Logits are taken to be the probabilities' logarithms, which differ from them by a constant an
    image. To be fitted on images that nothing else was chosen by.

    `probabilities` is (n, c), `labels` (n,) in 0..c-1. Raises InputError for anything else.
    """
    correctness(probabilities, labels)
    return best_temperature(_logarithms(probabilities), labels, COLDEST, HOTTEST)


def best_temperature(
    logits: NDArray[np.floating], labels: NDArray[np.integer], coldest: float, hottest: float
) -> float:
    """The temperature between two for which softmax(logits / T) has the least mean log loss.

    `logits` is (n, c), `labels` (n,) in 0..c-1.
    """

    def loss(exponent: float) -> float:
        scaled = log_softmax(logits / np.exp(exponent), axis=1)
        return -float(scaled[np.arange(len(labels)), labels].mean())

    bounds = np.log(coldest), np.log(hottest)
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def at_temperature(probabilities: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Probabilities (n, c) as they are at a temperature; their order stays the same.

    Raises InputError where the temperature is not above 0.
    """
    if not temperature > 0:
        raise InputError(f"a temperature must be above 0, not {temperature}.")
    return np.asarray(softmax(_logarithms(probabilities) / temperature, axis=1))


def _logarithms(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    # Float32 gives 0 to what was merely small, and 0 would stay 0 at any temperature.
    clipped = np.clip(probabilities, CLIP, 1.0, dtype=np.float64)
    return np.asarray(np.log(clipped))
