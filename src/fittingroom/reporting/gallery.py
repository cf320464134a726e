"""Galleries of test images with captions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from fittingroom.reporting import images, words
from fittingroom.reporting.page import Captioned

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis
    from fittingroom.data.dataset import Dataset


def gallery(
    analysis: Analysis, dataset: Dataset | None, positions: Iterable[int], model: str | None = None
) -> list[Captioned]:
    """Test images captioned with their class and the prediction of `model`; none without data."""
    if dataset is None:
        return []
    captioned = []
    for position in map(int, positions):
        caption = caption_of(analysis, position, model)
        image = images.picture(np.asarray(dataset.test.images[position]), caption)
        captioned.append(Captioned(image, caption))
    return captioned


def caption_of(analysis: Analysis, position: int, model: str | None = None) -> str:
    """ "4,711: Shirt"; with a model "4,711: Shirt → Coat, 98%": true, predicted, probability."""
    names = words.short_names(analysis.board.class_names)
    actual = names[int(analysis.labels[position])]
    if model is None:
        return f"{position:,}: {actual}"
    probabilities = analysis.models[model].probabilities[position]
    predicted = names[int(probabilities.argmax())]
    return f"{position:,}: {actual} → {predicted}, {probabilities.max():.0%}"
