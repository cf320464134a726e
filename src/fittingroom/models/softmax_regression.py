"""Multinomial logistic regression on pixels, by integer matrix products.

The objective is scikit-learn's, mean log loss plus `|weights|² / (2 C n)`, and so is the test for
convergence, the largest entry of the gradient. Two things are different:

- Images stay bytes. Weights and residuals are written as three digits of eight bits each (to 2⁻²³
  of the largest), so that all large products are of 8-bit integers, summed exactly.
- L-BFGS sees the weights through the Cholesky factor of a bound's mean Hessian, share × covariance
  + penalty (after Böhning, Ann. Inst. Stat. Math. 44, 1992): correlated bright pixels no longer
  make one direction thousands of times steeper than another.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from fittingroom.kernels.compiled import compiled, in_parts
from fittingroom.models.byte_products import are_exact

MAX_IMAGES = 2**31 // (2**7 * 2**8)  # per block: sums of products stay below 2³¹
_BLOCK = 30_000  # images; with fewer, threads waste time sleeping and waking between products
_LANES = 64  # images whose softmax is computed together
_DIGITS = 3
_LARGEST = 127 * 2**16  # the largest number of three digits of -128..127, with room for rounding
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
        and are_exact(n_pixels)
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
    objective = _Objective(pixels, codes, scale, penalty=1 / (estimator.C * len(pixels)))
    start = np.zeros(objective.shape).ravel()

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
    # The solver's own sums are short: BLAS threads would only spin while torch's threads work.
    with threadpool_limits(1, user_api="blas"):
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
        self._images = torch.from_numpy((pixels ^ 0x80).view(np.int8))  # pixels less 128
        self._codes = codes
        self._scale, self._penalty = scale, penalty
        self._inverse, centre = self._preconditioner()
        self.mean, self._shift = (128 + centre) / scale, -centre / scale
        n_rows, n_block = _DIGITS * self.shape[1], min(_BLOCK, len(codes))
        self._products = torch.empty(n_rows * n_block, dtype=torch.int32)
        self._residuals = torch.empty(n_rows * n_block, dtype=torch.int8)

    def __call__(self, x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = self.weights(x)
        loss, gradient = self._loss_and_gradient(weights)
        self.steepest = float(np.abs(gradient).max())
        # By torch, since the waiting threads of two libraries compete for the cores.
        transformed = (self._inverse @ torch.from_numpy(gradient[:-1])).numpy()
        return loss, np.concatenate([transformed, gradient[-1:] / math.sqrt(_SHARE)]).ravel()

    def weights(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weights (pixels + 1, classes) for the solver's `x`."""
        x = x.reshape(self.shape)
        pixels = (self._inverse.T @ torch.from_numpy(x[:-1])).numpy()
        return np.concatenate([pixels, x[-1:] / math.sqrt(_SHARE)])

    def _preconditioner(self) -> tuple[torch.Tensor, NDArray[np.float64]]:
        """L⁻¹ for L Lᵀ = share × covariance + penalty, float64 (pixels, pixels).

        And the mean of the pixels less 128.
        """
        images, n = self._images, len(self._images)
        n_pixels = self.shape[0] - 1
        squares, sums = np.zeros((n_pixels, n_pixels)), np.zeros(n_pixels)
        for first in range(0, n, MAX_IMAGES):
            block = images[first : first + MAX_IMAGES]
            squares += torch._int_mm(block.T, block).numpy()
            sums += block.sum(dim=0).numpy()
        covariance = (squares / n - np.outer(sums / n, sums / n)) / self._scale**2
        curvature = _SHARE * covariance
        # Rounding must not make it indefinite if there is hardly any penalty.
        ridge = max(self._penalty, 1e-7 * np.trace(curvature))
        curvature.flat[:: len(curvature) + 1] += ridge
        lower = torch.linalg.cholesky(torch.from_numpy(curvature))
        inverse: torch.Tensor = torch.linalg.solve_triangular(
            lower, torch.eye(n_pixels, dtype=torch.float64), upper=False
        )
        return inverse, sums / n

    def _loss_and_gradient(self, weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        n, (n_weights, n_classes) = len(self._codes), self.shape
        digits, units = _to_digits(weights[:-1].T)
        offsets = weights[-1] + (self._shift[:, None] * weights[:-1]).sum(axis=0)
        loss, sums = 0.0, np.zeros(n_classes)
        gradient = np.zeros((n_classes, n_weights - 1))
        for first in range(0, n, _BLOCK):
            images, codes = self._images[first : first + _BLOCK], self._codes[first:]
            # (digits × classes, images in the block)
            shape = (_DIGITS * n_classes, len(images))
            products = self._products[: shape[0] * shape[1]].view(shape)
            residuals = self._residuals[: shape[0] * shape[1]].view(shape)
            torch._int_mm(digits, images.T, out=products)
            part_sums = np.zeros((torch.get_num_threads(), 1 + n_classes))
            inputs = (products.numpy(), codes, units / self._scale, offsets)
            in_parts(_softmax, len(images), products.numel(), *inputs, residuals.numpy(), part_sums)
            loss += part_sums[:, 0].sum()
            sums += part_sums[:, 1:].sum(axis=0)
            gradient += _from_digits(torch._int_mm(residuals, images).numpy()) / _LARGEST
        gradient = gradient / self._scale + np.outer(sums, self._shift)
        slope = np.concatenate([gradient.T / n + self._penalty * weights[:-1], [sums / n]])
        return loss / n + self._penalty / 2 * float((weights[:-1] ** 2).sum()), slope


def _to_digits(rows: NDArray[np.float64]) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """Write rows of numbers as int8 (digits × rows, columns), highest digits first, and units."""
    units = np.abs(rows).max(axis=1) / _LARGEST
    units[units == 0] = 1
    rest = np.rint(rows / units[:, None]).astype(np.int32)
    digits = []
    for _ in range(_DIGITS):
        digits.append(((rest + 128) & 255) - 128)
        rest = (rest - digits[-1]) >> 8
    return torch.from_numpy(np.concatenate(digits[::-1]).astype(np.int8)), units


def _from_digits(sums: NDArray[np.int32]) -> NDArray[np.float64]:
    """The numbers (rows, columns) for sums over digits (digits × rows, columns)."""
    high, middle, low = np.split(sums.astype(np.float64), _DIGITS)
    return high * 2.0**16 + middle * 2.0**8 + low


@compiled
def _softmax(
    start: int,
    stop: int,
    part: int,
    products: Any,
    codes: Any,
    units: Any,
    offsets: Any,
    residuals: Any,
    sums: Any,
) -> None:
    """Compute the log loss and the residuals p - y of some images of a block, and their sums.

    Parameters
    ----------
    products : int32 (digits × classes, images)
    units, offsets : float64 (classes,), convert products to logits
    residuals : int8 (digits × classes, images), filled with p - y
    sums : float64 (parts, 1 + classes), the loss and the sums of p - y are added to it
    """
    n_classes = len(units)
    logits = np.empty((n_classes, _LANES))
    top, total = np.empty(_LANES), np.empty(_LANES)
    for first in range(start, stop, _LANES):
        n = min(_LANES, stop - first)
        top[:n] = -np.inf
        total[:n] = 0
        for c in range(n_classes):
            high = products[c, first : first + n]
            middle = products[n_classes + c, first : first + n]
            low = products[2 * n_classes + c, first : first + n]
            row = logits[c]
            for i in range(n):
                row[i] = (high[i] * 65536.0 + middle[i] * 256.0 + low[i]) * units[c] + offsets[c]
                top[i] = max(top[i], row[i])
        for i in range(n):
            sums[part, 0] += top[i] - logits[codes[first + i], i]
        for c in range(n_classes):
            row = logits[c]
            for i in range(n):
                row[i] = _exp(row[i] - top[i])
                total[i] += row[i]
        for i in range(n):
            sums[part, 0] += math.log(total[i])
            total[i] = 1 / total[i]
        for c in range(n_classes):
            row, summed = logits[c], 0.0
            high = residuals[c, first : first + n]
            middle = residuals[n_classes + c, first : first + n]
            low = residuals[2 * n_classes + c, first : first + n]
            labels = codes[first : first + n]
            for i in range(n):
                residual = row[i] * total[i] - (labels[i] == c)
                rest = np.int32(np.rint(residual * _LARGEST))
                summed += rest  # rounded as in the products, so that constants cancel
                digit = np.int32(((rest + np.int32(128)) & np.int32(255)) - np.int32(128))
                low[i] = digit
                rest = np.int32((rest - digit) >> np.int32(8))
                digit = np.int32(((rest + np.int32(128)) & np.int32(255)) - np.int32(128))
                middle[i] = digit
                high[i] = np.int32((rest - digit) >> np.int32(8))
            sums[part, 1 + c] += summed / _LARGEST


@compiled
def _exp(x: Any) -> Any:
    """e to the power of x ≤ 0, to 1e-11; unlike loops over math.exp, loops over it vectorise."""
    x = max(x, -700.0)
    exponent = np.rint(x * 1.4426950408889634)
    r = x - exponent * 0.6931471805599453
    series = 1 + r / 9
    for k in (8, 7, 6, 5, 4, 3, 2, 1):
        series = 1 + r / k * series
    return series * np.int64(np.int64(exponent + 1023) << 52).view(np.float64)
