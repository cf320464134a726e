"""Multinomial logistic regression on pixels, by integer matrix products.

The objective is scikit-learn's, mean log loss plus `|weights|² / (2 C n)`, and so is the test for
convergence, the largest entry of the gradient. Two things are different:

- Images stay bytes, and all large products are of 8-bit integers (`softmax_passes.py`).
- L-BFGS sees the weights through the Cholesky factor of a bound's mean Hessian, share × covariance
  + penalty (after Böhning, Ann. Inst. Stat. Math. 44, 1992): correlated bright pixels no longer
  make one direction thousands of times steeper than another.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import OptimizeResult, minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from fittingroom.kernels import capabilities
from fittingroom.models.softmax_passes import SoftmaxPasses

_SHARE = 0.1  # a typical p (1 - p), used for all classes and images
#: Bytes that the preconditioner may take: up to 68 × 68 pixels.
MAX_MEMORY = 2**30
_MATRICES = 6  # float64 (pixels, pixels), in memory at once while computing the preconditioner


def can_solve(estimator: LogisticRegression, n_images: int, n_pixels: int, n_classes: int) -> bool:
    """Whether :func:`fit_softmax_regression` supports `estimator`'s parameters, and is fast.

    Two classes are left to scikit-learn, which gives them one row of weights. So are images with
    more pixels than twice the number of images, or than `MAX_MEMORY` allows: the preconditioner's
    memory grows with the square of the number of pixels, its time with the cube.
    """
    free = {"C", "tol", "max_iter", "n_jobs", "random_state"}
    params, defaults = estimator.get_params(), LogisticRegression().get_params()
    return (
        all(params[name] == defaults[name] for name in params if name not in free)
        and math.isfinite(estimator.C)
        and n_classes > 2
        and n_pixels <= 2 * n_images
        and _MATRICES * 8 * n_pixels**2 <= MAX_MEMORY
        and capabilities.multiplies_bytes()
    )


def fit_softmax_regression(
    estimator: LogisticRegression,
    pixels: NDArray[np.uint8],
    codes: NDArray[np.int64],
    *,
    scale: float,
    mean: NDArray[np.float32],
) -> LogisticRegression:
    """Fit `estimator`, for which :func:`can_solve` is true, to images ``pixels / scale - mean``.

    Parameters
    ----------
    pixels : (n, height*width)
    codes : integers (n,), every class of 0..classes-1 present
    mean : (height*width,) the mean of ``pixels / scale``

    Returns
    -------
    `estimator`, with weights at which the gradient is at most its ``tol``; if ``max_iter`` came
    first, with a ``ConvergenceWarning``
    """
    estimator._validate_params()

    # Half of tol: solvers that stop at the same gradient still differ in loss, by hundredths of a
    # per cent, and this one shouldn't have the larger loss.
    steepest = estimator.tol / 2

    def stop_early(intermediate_result: OptimizeResult) -> None:
        if objective.steepest <= steepest:
            raise StopIteration

    options = {
        "maxiter": estimator.max_iter,
        "maxls": 50,
        "gtol": 0,
        "ftol": 64 * np.finfo(np.float64).eps,
    }
    # BLAS's products are short: its threads would only spin while ours work.
    with threadpool_limits(1, user_api="blas"):
        objective = _Objective(pixels, codes, scale, penalty=1 / (estimator.C * len(pixels)))
        start = np.zeros(objective.shape).ravel()
        solution = minimize(
            objective, start, jac=True, method="L-BFGS-B", options=options, callback=stop_early
        )
    if solution.nit >= estimator.max_iter and objective.steepest > estimator.tol:
        warnings.warn(
            f"logistic regression did not converge in {solution.nit} iterations (max_iter): the "
            f"largest gradient is {objective.steepest:.2g}, tol is {estimator.tol:.2g}.",
            ConvergenceWarning,
            stacklevel=2,
        )
    weights = objective.weights(solution.x)
    weights[-1] += ((mean - objective.mean)[:, None] * weights[:-1]).sum(axis=0)
    estimator.coef_ = np.ascontiguousarray(weights[:-1].T, np.float32)
    estimator.intercept_ = weights[-1].astype(np.float32)
    estimator.classes_ = np.arange(objective.shape[1])
    estimator.n_features_in_ = pixels.shape[1]
    estimator.n_iter_ = np.array([solution.nit], np.int32)
    return estimator


class _Objective:
    """Loss and gradient as functions of preconditioned weights (pixels + 1, classes), flattened.

    Attributes
    ----------
    shape : of the weights; the last row holds the intercepts
    mean : float64 (height*width,) of ``pixels / scale``
    steepest : largest entry of the last gradient with respect to the weights themselves
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        codes: NDArray[np.int64],
        scale: float,
        penalty: float,
    ) -> None:
        self.shape = (pixels.shape[1] + 1, int(codes.max()) + 1)
        self.steepest = np.inf
        self._n, self._scale, self._penalty = len(codes), scale, penalty
        self._passes = SoftmaxPasses(pixels, codes)
        self._inverse, self.mean = self._preconditioner()

    def __call__(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = self.weights(x)
        loss, gradient = self._loss_and_gradient(weights)
        self.steepest = float(np.abs(gradient).max())
        transformed = self._inverse @ gradient[:-1]
        return loss, np.concatenate([transformed, gradient[-1:] / math.sqrt(_SHARE)]).ravel()

    def weights(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weights (pixels + 1, classes) for the solver's `x`."""
        x = x.reshape(self.shape)
        return np.concatenate([self._inverse.T @ x[:-1], x[-1:] / math.sqrt(_SHARE)])

    def _preconditioner(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """L⁻¹ for L Lᵀ = share × covariance + penalty, float64 (pixels, pixels); and the mean."""
        squares, sums = self._passes.moments()
        mean = sums / self._n
        covariance = (squares / self._n - np.outer(mean, mean)) / self._scale**2
        curvature = _SHARE * covariance
        # Rounding must not make it indefinite if there is hardly any penalty.
        ridge = max(self._penalty, 1e-7 * np.trace(curvature))
        curvature.flat[:: len(curvature) + 1] += ridge
        lower = cholesky(curvature, lower=True)
        return solve_triangular(lower, np.eye(len(lower)), lower=True), mean / self._scale

    def _loss_and_gradient(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        n, pixels = self._n, weights[:-1]
        offsets = weights[-1] - (self.mean[:, None] * pixels).sum(axis=0)
        loss, sums, products = self._passes.evaluate(pixels.T / self._scale, offsets)
        gradient = products.T / self._scale - np.outer(self.mean, sums)
        slope = np.concatenate([gradient / n + self._penalty * pixels, [sums / n]])
        return loss / n + self._penalty / 2 * float((pixels**2).sum()), slope
