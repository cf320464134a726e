"""Logistic regression against its objective in float64, and against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from fittingroom.data.dataset import Dataset
from fittingroom.models.softmax_regression import (
    _Objective,
    can_solve,
    fit_softmax_regression,
)

SCALE = 255.0

pytestmark = pytest.mark.skipif(
    not can_solve(LogisticRegression(), 60_000, 784, 10),
    reason="this processor has no fast products of 8-bit integers",
)


@pytest.fixture(scope="module")
def images(small: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """2,000 real images (n, 784) uint8, their labels, and the mean scaled image."""
    pixels = small.train.images.reshape(2000, -1)
    mean = (pixels.mean(axis=0) / SCALE).astype(np.float32)
    return pixels, small.train.labels.astype(np.int64), mean


def scaled(pixels: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return pixels / SCALE - mean.astype(np.float64)


def in_float64(images: Any, weights: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
    """Loss and gradient (785, 10) at weights (785, 10), by definition."""
    X, n = scaled(images[0], images[2]), len(images[0])
    logits = X @ weights[:-1] + weights[-1]
    loss = -log_softmax(logits, axis=1)[np.arange(n), images[1]].mean()
    residuals = (softmax(logits, axis=1) - np.eye(10)[images[1]]) / n
    gradient = np.concatenate([X.T @ residuals + penalty * weights[:-1], [residuals.sum(0)]])
    return loss + penalty / 2 * (weights[:-1] ** 2).sum(), gradient


def test_loss_and_gradient(images: Any) -> None:
    weights = np.random.RandomState(0).normal(0, 0.2, (785, 10))
    objective = _Objective(images[0], images[1], SCALE, penalty=0.01)
    loss, gradient = objective._loss_and_gradient(weights)
    expected_loss, expected = in_float64(images, weights, 0.01)
    assert loss == pytest.approx(expected_loss, abs=1e-7)
    np.testing.assert_allclose(gradient, expected, atol=1e-7)


def test_the_solvers_gradient_is_with_respect_to_its_own_weights(images: Any) -> None:
    objective = _Objective(images[0], images[1], SCALE, penalty=0.01)
    rng = np.random.RandomState(0)
    x, step = rng.normal(0, 0.01, 7850), rng.normal(0, 0.001, 7850)
    slope = (objective(x + step)[0] - objective(x - step)[0]) / 2
    assert slope == pytest.approx(objective(x)[1] @ step, rel=1e-3)


def test_weights_equal_scikit_learns(images: Any) -> None:
    pixels, codes, mean = images
    regression = LogisticRegression(C=0.1, tol=1e-5, max_iter=5000)
    ours = fit_softmax_regression(clone(regression), pixels, codes, scale=SCALE, mean=mean)
    theirs = clone(regression).fit(scaled(pixels, mean), codes)
    assert vars(ours).keys() >= vars(theirs).keys()
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=3e-3)
    # Intercepts are free up to a constant.
    np.testing.assert_allclose(
        ours.intercept_ - ours.intercept_.mean(),
        theirs.intercept_ - theirs.intercept_.mean(),
        atol=2e-2,
    )


def test_the_loss_is_no_larger_and_labels_are_the_same(images: Any, small: Dataset) -> None:
    pixels, codes, mean = images
    test = scaled(small.test.images.reshape(1000, -1), mean)
    regression = LogisticRegression(C=0.1, max_iter=5000)
    ours = fit_softmax_regression(clone(regression), pixels, codes, scale=SCALE, mean=mean)
    theirs = clone(regression).fit(scaled(pixels, mean).astype(np.float32), codes)
    losses = []
    for fitted in (ours, theirs):
        weights = np.concatenate([fitted.coef_.T, fitted.intercept_[None]]).astype(np.float64)
        loss, gradient = in_float64(images, weights, penalty=1 / (0.1 * 2000))
        assert np.abs(gradient).max() <= 1.01e-4
        losses.append(loss)
    assert losses[0] <= losses[1] * (1 + 1e-4)
    assert (ours.predict(test) == theirs.predict(test)).mean() >= 0.995


def test_the_number_of_threads_hardly_matters(images: Any) -> None:
    weights, gradients = np.random.RandomState(0).normal(0, 0.2, (785, 10)), []
    before = torch.get_num_threads()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            objective = _Objective(images[0], images[1], SCALE, penalty=0.01)
            gradients.append(objective._loss_and_gradient(weights)[1])
        finally:
            torch.set_num_threads(before)
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-13)


def test_it_warns_if_it_has_not_converged(images: Any) -> None:
    with pytest.warns(ConvergenceWarning, match="did not converge in 2 iterations"):
        fit_softmax_regression(
            LogisticRegression(max_iter=2), *images[:2], scale=SCALE, mean=images[2]
        )


def test_constant_pixels(images: Any) -> None:
    pixels = images[0].copy()
    pixels[:, 300:] = 9
    mean = (pixels.mean(axis=0) / SCALE).astype(np.float32)
    weak = LogisticRegression(C=1e8, tol=1e-3, max_iter=2000)
    fitted = fit_softmax_regression(weak, pixels, images[1], scale=SCALE, mean=mean)
    assert np.isfinite(fitted.coef_).all()
    np.testing.assert_allclose(fitted.coef_[:, 300:], 0, atol=1e-3)


@pytest.mark.parametrize(
    "options", [{"C": np.inf}, {"fit_intercept": False}, {"class_weight": "balanced"}], ids=str
)
def test_unsupported_parameters_are_left_to_scikit_learn(options: dict[str, Any]) -> None:
    assert not can_solve(LogisticRegression(**options), 60_000, 784, 10)


@pytest.mark.parametrize(
    ("size", "solved"),
    [
        ((60_000, 784, 10), True),
        ((2000, 784, 10), True),
        ((60_000, 784, 2), False),
        ((400, 784, 10), True),
        ((300, 784, 10), False),  # few images for so many pixels
        ((60_000, 4624, 10), True),
        ((60_000, 4761, 10), False),  # 1.01 GiB of matrices
        ((300, 50_176, 3), False),
    ],
    ids=str,
)
def test_sizes_that_do_not_suit_it(size: tuple[int, int, int], solved: bool) -> None:
    assert can_solve(LogisticRegression(), *size) is solved
