"""Test images with what is said of them."""

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
    """Test images, each with its class and with what `model` made of it; none without data."""
    if dataset is None:
        return []
    shown = []
    for position in map(int, positions):
        caption = caption_of(analysis, position, model)
        image = images.picture(np.asarray(dataset.test.images[position]), caption)
        shown.append(Captioned(image, caption))
    return shown


def caption_of(analysis: Analysis, position: int, model: str | None = None) -> str:
    """ "4,711: Shirt", and of a model "4,711: Shirt → Coat, 98%": actual, predicted, how sure."""
    names = words.in_sentences(analysis.board.class_names)
    actual = names[int(analysis.labels[position])]
    if model is None:
        return f"{position:,}: {actual}"
    probabilities = analysis.models[model].probabilities[position]
    predicted = names[int(probabilities.argmax())]
    return f"{position:,}: {actual} → {predicted}, {probabilities.max():.0%}"
