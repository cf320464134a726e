"""Support vector machines with probabilities: softmax(scores / T)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, clone
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.svm import SVC

from fittingroom.evaluation.calibration import best_temperature
from fittingroom.models.engine import Engine, fit_with
from fittingroom.models.pixel_classifier import PixelClassifier

_CHUNK = 1000  # images whose kernel rows are in memory at once: 140 MB for 17,000 support vectors
#: Bytes of weights above which libsvm computes the scores: it stores no zero weights.
MAX_WEIGHTS = 2**29
_COLDEST, _HOTTEST = 1e-2, 1e2


class CalibratedSVM(PixelClassifier):
    """A support vector machine for images, with probabilities softmax(scores / T).

    T minimises the log loss on images held out of the training images (Guo et al., ICML 2017,
    equation 9), never on validation or test images. They are scored by a second machine, the twin,
    fitted on some of the other images; then the machine itself is fitted on all.

    Parameters
    ----------
    estimator : a :class:`~sklearn.svm.LinearSVC`, or a :class:`~sklearn.svm.SVC` with kernel "rbf"
    features, scale, centre, engine : as for :class:`PixelClassifier`
    twin_images : the most images that the twin is fitted on
    held_out : share of the training images that T is chosen on, at most 5,000 images

    Attributes
    ----------
    temperature_ : T; 1 if a class has too few images to hold any out
    and those of :class:`PixelClassifier`
    """

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        features: BaseEstimator | None = None,
        scale: float = 255.0,
        centre: bool = False,
        engine: Engine = "auto",
        twin_images: int = 10_000,
        held_out: float = 0.1,
    ) -> None:
        super().__init__(estimator, features=features, scale=scale, centre=centre, engine=engine)
        self.twin_images = twin_images
        self.held_out = held_out

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Scores (n, classes); for two classes (n,), positive for the second."""
        inputs = self._prepare(X)
        return self._scores(self.estimator_, inputs)

    def _learn(self, inputs: NDArray[np.float32], codes: NDArray[np.int64]) -> None:
        self.temperature_ = self._choose_temperature(inputs, codes)
        super()._learn(inputs, codes)

    def _probabilities(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = _columns(self._scores(self.estimator_, inputs)) / self.temperature_
        return softmax(logits, axis=1).astype(np.float32)  # type: ignore[no-any-return]

    def _scores(self, fitted: BaseEstimator, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        if isinstance(fitted, SVC):
            return one_vs_one_scores(fitted, inputs)
        return fitted.decision_function(inputs).astype(np.float64)  # type: ignore[no-any-return]

    def _choose_temperature(self, inputs: NDArray[np.float32], codes: NDArray[np.int64]) -> float:
        n_classes = len(self.classes_)
        n_held_out = min(round(self.held_out * len(codes)), 5000)
        n_twin = min(len(codes) - n_held_out, self.twin_images)
        if min(n_held_out, n_twin) < n_classes or np.bincount(codes).min() < 2:
            return 1.0
        # The draw is the same for every fit, so that T doesn't depend on chance.
        draw = StratifiedShuffleSplit(1, test_size=n_held_out, train_size=n_twin, random_state=0)
        twin, held_out = next(draw.split(inputs, codes))
        if len(np.unique(codes[twin])) < n_classes:
            return 1.0
        fitted, _ = fit_with(self.engine, clone(self.estimator), inputs[twin], codes[twin])
        scores = _columns(self._scores(fitted, inputs[held_out]))
        return best_temperature(scores, codes[held_out], _COLDEST, _HOTTEST)


def one_vs_one_scores(svc: SVC, X: NDArray[Any]) -> NDArray[np.float64]:
    """``svc.decision_function(X)`` by matrix products: 20 times as fast as libsvm.

    Each pair of classes votes for one of the two; the sum of the pairs' margins, squashed to less
    than a third, breaks ties (as in scikit-learn, ``decision_function_shape="ovr"``).

    Parameters
    ----------
    svc : fitted, kernel "rbf"
    X : (n, features)

    Returns
    -------
    (n, classes); for two classes (n,), positive for the second
    """
    n_classes = len(svc.classes_)
    n_pairs = n_classes * (n_classes - 1) // 2
    chunks = [X[start : start + _CHUNK] for start in range(0, len(X), _CHUNK)]
    if 8 * n_pairs * (len(svc.support_vectors_) + n_classes) > MAX_WEIGHTS:
        return np.concatenate([svc.decision_function(chunk) for chunk in chunks])
    weights, pairs = pair_weights(svc)
    decided, losses = pair_decisions(pairs, n_classes)

    def scores(chunk: NDArray[Any]) -> NDArray[np.float64]:
        # (n, pairs), positive for the first class of the pair
        kernel = rbf_kernel(chunk, svc.support_vectors_, gamma=svc._gamma)
        margins: NDArray[np.float64] = kernel @ weights + svc.intercept_
        if n_classes == 2:
            return margins[:, 0]  # scikit-learn flips the sign of a single pair
        votes: NDArray[np.float64] = (margins >= 0) @ decided + losses
        confidence: NDArray[np.float64] = margins @ decided
        confidence /= 3 * (np.abs(confidence) + 1)
        return votes + confidence

    return np.concatenate([scores(chunk) for chunk in chunks])


def pair_weights(svc: SVC) -> tuple[NDArray[np.float64], list[tuple[int, int]]]:
    """Weights (support vectors, pairs) of the kernel values, and the pairs of classes.

    ``dual_coef_`` (classes-1, support vectors) has libsvm's layout: support vectors are sorted by
    class, and the rows are their weights against each of the other classes.
    """
    ends = np.cumsum(svc.n_support_)
    members = [slice(end - size, end) for end, size in zip(ends, svc.n_support_, strict=True)]
    pairs = list(combinations(range(len(svc.classes_)), 2))
    if len(pairs) == 1:
        return svc.dual_coef_.T, pairs
    weights = np.zeros((ends[-1], len(pairs)))
    for column, (i, j) in enumerate(pairs):
        weights[members[i], column] = svc.dual_coef_[j - 1, members[i]]
        weights[members[j], column] = svc.dual_coef_[i, members[j]]
    return weights, pairs


def pair_decisions(
    pairs: Sequence[tuple[int, int]], n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each pair, 1 for the first class and -1 for the second, (pairs, classes).

    And for each class, how many pairs it is the second of, (classes,): with the margins' signs
    these give the votes.
    """
    first, second = np.array(pairs).T
    wins, losses = np.eye(n_classes)[first], np.eye(n_classes)[second]
    return wins - losses, losses.sum(axis=0)


def _columns(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (n, classes), also if there is one number for two classes."""
    return scores if scores.ndim == 2 else np.column_stack([-scores, scores])
