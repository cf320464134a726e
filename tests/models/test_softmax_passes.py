"""Sums over real images, against those in float64 and 64-bit integers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from fittingroom.data.dataset import Dataset
from fittingroom.kernels import capabilities
from fittingroom.models import softmax_passes
from fittingroom.models.softmax_passes import SoftmaxPasses, _exp

pytestmark = pytest.mark.skipif(
    not capabilities.multiplies_bytes(), reason="no instructions for bytes"
)


@pytest.fixture(params=[128, 2], ids=lambda blocks: f"{blocks} blocks in 32 bits")
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax_passes, "MAX_BLOCKS", request.param)


@pytest.fixture(params=[(2000, 0, 784), (511, 3, 784), (513, 400, 464)], ids=str)
def images(request: pytest.FixtureRequest, small: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Some pixels of some images (n, pixels), and their classes."""
    n, start, stop = request.param
    pixels = small.train.images[:n].reshape(n, -1)[:, start:stop]
    return np.ascontiguousarray(pixels), small.train.labels[:n].astype(np.int64)


@pytest.mark.usefixtures("blocks")
def test_moments_are_exact(images: tuple[np.ndarray, np.ndarray]) -> None:
    squares, sums = SoftmaxPasses(*images).moments()
    wide = images[0].astype(np.int64)
    np.testing.assert_array_equal(squares, wide.T @ wide)
    np.testing.assert_array_equal(sums, wide.sum(axis=0))


@pytest.mark.usefixtures("blocks")
def test_loss_residuals_and_slopes(images: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, codes = images
    random = np.random.default_rng(0)
    weights, offsets = random.normal(0, 1e-3, (10, pixels.shape[1])), random.normal(0, 1, 10)
    loss, sums, slopes = SoftmaxPasses(pixels, codes).evaluate(weights, offsets)
    logits = pixels @ weights.T + offsets
    residuals = softmax(logits, axis=1) - np.eye(10)[codes]
    n = len(codes)
    assert loss == pytest.approx(-log_softmax(logits, axis=1)[np.arange(n), codes].sum(), rel=1e-6)
    np.testing.assert_allclose(sums, residuals.sum(axis=0), atol=1e-5 * n)
    np.testing.assert_allclose(slopes, residuals.T @ pixels, atol=1e-4 * n)


def test_exponential() -> None:
    x = -np.concatenate([np.linspace(0, 50, 1001), [700.0]])
    np.testing.assert_allclose([_exp(value) for value in x], np.exp(x), rtol=1e-10)
    assert _exp(-1e6) < 1e-300
