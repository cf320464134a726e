"""Galleries of test images with captions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from fittingroom.reporting import words
from fittingroom.reporting.sprite import Sprite

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis


@dataclass(frozen=True)
class Captioned:
    """An image with a caption below it; `bars` are a model's first classes with probabilities."""

    image: Markup
    caption: str
    bars: tuple[tuple[str, float], ...] = ()


def gallery(
    analysis: Analysis,
    sprite: Sprite | None,
    positions: Iterable[int],
    model: str | None = None,
    *,
    bars: int = 0,
) -> list[Captioned]:
    """Test images captioned with their class and the prediction of `model`; none without a sprite.

    `bars` is how many of the model's most probable classes are shown with each image.
    """
    if sprite is None:
        return []
    captioned = []
    for position in map(int, positions):
        caption = caption_of(analysis, position, model)
        shown = _most_probable(analysis, position, model, bars) if model and bars else ()
        captioned.append(Captioned(sprite.tile(position), caption, shown))
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


def _most_probable(
    analysis: Analysis, position: int, model: str, count: int
) -> tuple[tuple[str, float], ...]:
    names = words.short_names(analysis.board.class_names)
    probabilities = analysis.models[model].probabilities[position]
    first = (-probabilities).argsort(kind="stable")[:count]
    return tuple((names[label], float(probabilities[label])) for label in first)
