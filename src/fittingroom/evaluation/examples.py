"""Which images to show: positions of those that tell most about a model, or about two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fittingroom.evaluation.agreement import of_label
from fittingroom.evaluation.metrics import correctness

Positions = NDArray[np.int64]


def surest_mistakes(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], at_most: int
) -> Positions:
    """Wrong images, those first that got the highest probability for the wrong class."""
    wrong = np.flatnonzero(~correctness(probabilities, labels))
    return _first(wrong, -probabilities.max(axis=1), at_most)


def doubtful_hits(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], at_most: int
) -> Positions:
    """Right images, those first whose class got the lowest probability."""
    right = np.flatnonzero(correctness(probabilities, labels))
    return _first(right, probabilities.max(axis=1), at_most)


def random_images(n: int, at_most: int, seed: int = 0) -> Positions:
    """Positions drawn without looking at anything: always the same for the same seed."""
    drawn = np.random.default_rng(seed).permutation(n)[:at_most]
    return np.asarray(drawn, np.int64)


def fixed(
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    labels: NDArray[np.integer],
) -> Positions:
    """Images that were wrong before and are right after, most gained for the label first."""
    mended = ~correctness(before, labels) & correctness(after, labels)
    gain = of_label(after, labels) - of_label(before, labels)
    return _first(np.flatnonzero(mended), -gain, len(labels))


def _first(positions: Positions, key: NDArray[np.floating], at_most: int) -> Positions:
    """The positions with the lowest keys, in their order."""
    return positions[np.argsort(key[positions], kind="stable")][:at_most]
