"""The section of a comparison's page on one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from fittingroom.evaluation.examples import doubtful_hits, random_images, surest_mistakes
from fittingroom.reporting import heat_table, words
from fittingroom.reporting.gallery import Captioned, gallery
from fittingroom.reporting.heat_table import HeatTable, confusion_cells
from fittingroom.reporting.model_plots import Block, blocks_of, curves, reliability_plots
from fittingroom.reporting.page import FigureCard
from fittingroom.reporting.sprite import Sprite

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis, ModelAnalysis
    from fittingroom.evaluation.confusion import ClassificationReport

#: Images shown: most and least confident, and random ones, with their most probable classes.
EXAMPLES, RANDOM, BARS = 12, 24, 3


@dataclass(frozen=True)
class ModelSection:
    """What the page shows of one model; unknown values are empty.

    `confusion` is a table, or with too many classes the picture of one.
    """

    model: str
    anchor: str
    seed: int
    settings: Mapping[str, str]
    blocks: Sequence[Block]
    report: ClassificationReport
    confusion: HeatTable | FigureCard
    confused: Sequence[str]
    figures: Sequence[FigureCard]
    galleries: Mapping[str, list[Captioned]]


def section_of(model: ModelAnalysis, analysis: Analysis, sprite: Sprite | None) -> ModelSection:
    """The section of `model`; images become tiles of the sprite."""
    labels, probabilities = analysis.labels, model.probabilities
    shown: Mapping[str, tuple[NDArray[np.int64], int]] = {
        "Most confident errors": (surest_mistakes(probabilities, labels, EXAMPLES), 0),
        "Least confident correct predictions": (doubtful_hits(probabilities, labels, EXAMPLES), 0),
        "Random predictions": (random_images(len(labels), RANDOM), BARS),
    }
    names = words.short_names(analysis.board.class_names)
    number = list(analysis.models).index(model.model)
    return ModelSection(
        model=model.model,
        anchor=f"model-{number}",
        seed=model.seed,
        settings=words.settings(model.parameters),
        blocks=blocks_of(model.layers),
        report=model.report,
        confusion=_confusion(model, analysis.board.class_names),
        confused=words.confused_pairs(model.confusion, names),
        figures=_figures(model, names, number),
        galleries={
            title: gallery(analysis, sprite, positions, model.model, bars=bars)
            for title, (positions, bars) in shown.items()
        },
    )


def _confusion(model: ModelAnalysis, names: Sequence[str]) -> HeatTable | FigureCard:
    title = "Confusion matrix"
    finding = model.confusion.hardest_sentence(words.short_names(names))
    if len(names) > heat_table.CLASSES:
        from fittingroom.reporting.figures import confusion_picture

        return FigureCard(
            title,
            confusion_picture(model.confusion, f"Confusion matrix of {model.model}"),
            "Rows are true classes, columns predicted classes. Blue is correct; with this many "
            "classes, only confusions.csv has the counts (--format csv).",
            finding,
        )
    return HeatTable(
        title=title,
        rows=names,
        columns=names,
        cells=confusion_cells(model.confusion, names),
        caption="Rows are true classes, columns predicted classes, in percent of the row. Blue is "
        "correct.",
        corner="True class",
        finding=finding,
        confusion_of=model.model,
    )


def _figures(model: ModelAnalysis, names: Sequence[str], number: int) -> list[FigureCard]:
    cards = []
    if model.history:
        kept = f" Epoch {model.kept_epoch} was kept." if model.kept_epoch else ""
        cards.append(
            FigureCard(
                "Learning curves",
                Markup("").join(curves(model)),
                f"Seed {model.seed}.{kept} Blue: validation; dashed: training. Training values are "
                "measured while the weights change, with augmentation and dropout active, so they "
                "may be worse than validation values.",
            )
        )
    if calibration := model.calibration:
        cards.append(
            FigureCard(
                "Calibration (reliability diagram)",
                Markup("").join(reliability_plots(model.model, calibration, number)),
                "Test images by the probability of the predicted class, before and after "
                f"temperature scaling, seed {model.seed}; bars are the share of images. The "
                f"temperature was fitted on {calibration.images:,} "
                f"image{'s' * (calibration.images != 1)} of the calibration half of the "
                "validation part, which is not used for selection.",
                f"{words.calibration(model)} {words.sets(model, names)}",
            )
        )
    return cards
