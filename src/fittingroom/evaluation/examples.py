"""Which images to show: the positions of those that say the most about a model, or about two."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fittingroom.evaluation.agreement import label_probabilities
from fittingroom.evaluation.metrics import correctness

Positions = NDArray[np.int64]


def surest_mistakes(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], at_most: int
) -> Positions:
    """Positions of misclassified images, the most confident mistake first.

    `probabilities` is (n, c), `labels` (n,); at most `at_most` positions are returned.
    """
    wrong = np.flatnonzero(~correctness(probabilities, labels))
    return _lowest(wrong, -probabilities.max(axis=1), at_most)


def doubtful_hits(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], at_most: int
) -> Positions:
    """Positions of correctly classified images, the least confident first.

    `probabilities` is (n, c), `labels` (n,); at most `at_most` positions are returned.
    """
    right = np.flatnonzero(correctness(probabilities, labels))
    return _lowest(right, probabilities.max(axis=1), at_most)


def random_images(n: int, at_most: int, seed: int = 0) -> Positions:
    """At most `at_most` random positions in 0..n-1; the same seed gives the same positions."""
    drawn = np.random.default_rng(seed).permutation(n)[:at_most]
    return np.asarray(drawn, np.int64)


def newly_correct(
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    labels: NDArray[np.integer],
) -> Positions:
    """Positions of images that only `after` classifies correctly, the largest gain first.

    The gain is in the label's probability. `before` and `after` are (n, c), `labels` (n,).
    """
    corrected = ~correctness(before, labels) & correctness(after, labels)
    gain = label_probabilities(after, labels) - label_probabilities(before, labels)
    return _lowest(np.flatnonzero(corrected), -gain, len(labels))


def _lowest(positions: Positions, key: NDArray[np.floating], at_most: int) -> Positions:
    """The `at_most` positions with the lowest keys, lowest first; `key` is (n,)."""
    return positions[np.argsort(key[positions], kind="stable")][:at_most]
