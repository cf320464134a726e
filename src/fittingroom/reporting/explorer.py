"""The test images that a page of a comparison holds, for readers to explore."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.evaluation.examples import random_images
from fittingroom.evaluation.metrics import correctness

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis, ModelAnalysis

#: The most bytes of pixels, and of probabilities, so that a page stays below 6 MB.
PIXELS, PROBABILITIES = 3_200_000, 1_200_000
#: Images that every model has right, of each class.
SAMPLES = 24


def images_to_explore(
    analysis: Analysis, image_shape: tuple[int, int], models: Sequence[ModelAnalysis]
) -> NDArray[np.int64]:
    """Positions of the test images that some model gets wrong, and of samples of the others.

    If they are too many for a page, those that most models get wrong come first.
    """
    n, classes = len(analysis.labels), len(analysis.board.class_names)
    if not models:
        return np.empty(0, np.int64)
    wrong = _wrong_for(models, analysis.labels).sum(axis=0)
    shuffled = random_images(n, n)
    order = shuffled[np.argsort(-wrong[shuffled], kind="stable")]
    n_wrong = int((wrong > 0).sum())
    samples = [
        position
        for label in range(classes)
        for position in order[n_wrong:][analysis.labels[order[n_wrong:]] == label][:SAMPLES]
    ]
    height, width = image_shape
    most = min(PIXELS // (height * width), PROBABILITIES // (len(models) * classes))
    return np.sort(np.array([*order[:n_wrong], *samples], np.int64)[:most])


def payload(
    analysis: Analysis,
    positions: NDArray[np.int64],
    models: Sequence[ModelAnalysis],
    sentences: dict[str, str],
    columns: int,
) -> dict[str, Any]:
    """What the page's script reads: arrays are base64 of little-endian numbers.

    Parameters
    ----------
    positions : (m,) of the images that the page holds, in the order of its tiles
    sentences : what is said of each pair of models, by their numbers joined by a hyphen
    columns : of the picture of all tiles
    """
    probabilities = [model.probabilities[positions] for model in models]
    wrong = np.asarray(_wrong_for(models, analysis.labels).any(axis=0))
    n_wrong, held_wrong = int(wrong.sum()), int(wrong[positions].sum())
    return {
        "classes": list(analysis.board.class_names),
        "models": [model.model for model in models],
        "seeds": [model.seed for model in models],
        "columns": columns,
        "images": len(positions),
        "isWhole": held_wrong == n_wrong,
        "positions": packed(positions, "<u4"),
        "labels": packed(analysis.labels[positions], "<u2"),
        # (models, m): ties of rounded probabilities don't change the prediction.
        "predicted": packed(np.array([p.argmax(axis=1) for p in probabilities]), "<u2"),
        # (models, m, classes) of 255
        "probabilities": packed(np.array([np.round(255 * p) for p in probabilities]), "u1"),
        "pairs": sentences,
    }


def _wrong_for(models: Sequence[ModelAnalysis], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which images (models, n) each model gets wrong."""
    return np.array([~correctness(model.probabilities, labels) for model in models])


def packed(values: NDArray[Any], kind: str) -> str:
    """Numbers of a NumPy type as base64, for a script to unpack."""
    return base64.b64encode(np.ascontiguousarray(values.astype(kind)).tobytes()).decode()
