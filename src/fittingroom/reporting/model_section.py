"""The section of a comparison's page on one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.evaluation.examples import doubtful_hits, random_images, surest_mistakes
from fittingroom.reporting import figures, model_figures, words
from fittingroom.reporting.gallery import caption_of, gallery
from fittingroom.reporting.page import Captioned, FigureCard, draw, percent

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis, Calibration, ModelAnalysis
    from fittingroom.data.dataset import Dataset
    from fittingroom.evaluation.confusion import ClassificationReport

#: Images shown: most and least confident, random predictions, with bars of probabilities.
EXAMPLES, RANDOM, BARS = 12, 25, 10
#: With more classes there are no panels per class: nobody would look at so many.
PANELS = 30


@dataclass(frozen=True)
class ModelSection:
    """What the page shows of one model; unknown values are empty."""

    model: str
    anchor: str
    seed: int
    settings: Mapping[str, str]
    layers: Sequence[Any]
    report: ClassificationReport
    counts: list[list[str]]  # empty with too many classes, as are the shares
    shares: list[list[str]]
    confused: Sequence[str]
    pictures: Sequence[FigureCard]
    galleries: Mapping[str, list[Captioned]]
    bars: FigureCard


def section_of(model: ModelAnalysis, analysis: Analysis, dataset: Dataset | None) -> ModelSection:
    """The section of `model`; images need the data set."""
    counts = model.confusion.counts
    rows = counts if len(counts) <= figures.CLASSES else counts[:0]
    random = random_images(len(analysis.labels), RANDOM + BARS)
    galleries = {
        "Most confident errors": surest_mistakes(model.probabilities, analysis.labels, EXAMPLES),
        "Least confident correct predictions": doubtful_hits(
            model.probabilities, analysis.labels, EXAMPLES
        ),
        "Random predictions": random[:RANDOM],
    }
    with_bars = random[-BARS:]  # overlaps the above if there are few images
    return ModelSection(
        model=model.model,
        anchor=f"model-{list(analysis.models).index(model.model)}",
        seed=model.seed,
        settings=words.settings(model.parameters),
        layers=model.layers,
        report=model.report,
        counts=[[_count(cell) for cell in row] for row in rows],
        shares=[
            [f"{100 * cell / total:.1f}" if total else "–" for cell in row]
            for row, total in zip(rows, rows.sum(axis=1), strict=True)
        ],
        confused=words.confused_pairs(
            model.confusion, words.short_names(analysis.board.class_names)
        ),
        pictures=_pictures(model, analysis, dataset),
        galleries={
            title: gallery(analysis, dataset, positions, model.model)
            for title, positions in galleries.items()
        },
        bars=_bars(model, analysis, dataset, with_bars),
    )


def _pictures(
    model: ModelAnalysis, analysis: Analysis, dataset: Dataset | None
) -> list[FigureCard]:
    names = analysis.board.class_names
    sentence = model.confusion.hardest_sentence(words.short_names(names))
    cards = [_architecture(model)] if model.layers else []
    cards.append(
        draw(
            "Confusion matrix",
            figures.confusion(model.confusion, names),
            f"Confusion matrix of {model.model}. {sentence}",
            "Rows are true classes, columns predicted classes, in percent of the row. Blue is "
            f"correct; {_where_values_are(len(names))}.",
            finding=sentence,
        )
    )
    if len(names) <= PANELS:
        examples = _examples(analysis, dataset)
        cards.append(
            draw(
                "Predictions by true class",
                model_figures.class_histograms(model.confusion, names, examples),
                f"Share of the images of each true class by predicted class, for {model.model}.",
                "One panel per true class; correct predictions are blue.",
                has_images=True,
            )
        )
    if model.history:
        cards.append(_learning_curves(model))
    if model.calibration:
        cards.append(_reliability(model, model.calibration, names))
    return cards


def _architecture(model: ModelAnalysis) -> FigureCard:
    return draw(
        "Architecture",
        model_figures.architecture(model.layers),
        f"The layers of {model.model}, from the image to the classes.",
        "Height shows the size of a feature map, width its number of channels (log scale).",
    )


def _learning_curves(model: ModelAnalysis) -> FigureCard:
    kept = f" Epoch {model.kept_epoch} was kept." if model.kept_epoch else ""
    return draw(
        "Learning curves",
        model_figures.learning_curves(model.history, model.kept_epoch),
        f"Loss and accuracy of {model.model} by epoch.{kept}",
        f"Seed {model.seed}. Training values are measured while the weights change, with "
        "augmentation and dropout active, so they may be worse than validation values.",
    )


def _reliability(
    model: ModelAnalysis, calibration: Calibration, names: Sequence[str]
) -> FigureCard:
    before, after = calibration.before, calibration.after
    return draw(
        "Calibration (reliability diagram)",
        model_figures.reliability_diagram(calibration),
        f"Reliability diagram of {model.model}: expected calibration error "
        f"{percent(before.expected_calibration_error)} before and "
        f"{percent(after.expected_calibration_error)} after temperature scaling.",
        f"Test images by the probability of the predicted class, seed {model.seed}. The "
        f"temperature was fitted on {calibration.images:,} "
        f"image{'s' * (calibration.images != 1)} of the calibration half of the "
        "validation part, which is not used for selection.",
        finding=f"{words.calibration(model)} {words.sets(model, words.short_names(names))}",
    )


def _where_values_are(classes: int) -> str:
    if classes <= figures.CLASSES:
        return "the values are listed below"
    return "with this many classes, only confusions.csv has the counts (--format csv)"


def _examples(analysis: Analysis, dataset: Dataset | None) -> list[NDArray[np.uint8] | None]:
    """One test image per class, the same for every model; none without data."""
    if dataset is None:
        return []
    shuffled = random_images(len(analysis.labels), len(analysis.labels))
    first = {int(analysis.labels[position]): int(position) for position in reversed(shuffled)}
    return [
        np.asarray(dataset.test.images[first[label]]) if label in first else None
        for label in range(len(analysis.board.class_names))
    ]


def _bars(
    model: ModelAnalysis, analysis: Analysis, dataset: Dataset | None, positions: NDArray[np.int64]
) -> FigureCard:
    names = analysis.board.class_names
    figure = model_figures.probability_bars(
        model.probabilities[positions],
        [int(analysis.labels[position]) for position in positions],
        names,
        [np.asarray(dataset.test.images[position]) for position in positions] if dataset else [],
        [f"{position:,}" for position in positions],
    )
    captions = "; ".join(caption_of(analysis, int(position), model.model) for position in positions)
    return draw(
        "Predicted probabilities of random test images",
        figure,
        f"True class, predicted class and its probability, {model.model}: {captions}.",
        f"The same random images for every model; blue is the true class. Seed {model.seed}.",
        has_images=True,
    )


def _count(cell: float) -> str:
    return f"{cell:,.0f}" if cell == int(cell) else f"{cell:,.1f}"
