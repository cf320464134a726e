"""The page of a comparison: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fittingroom.formatting import duration, shorten
from fittingroom.reporting import figures, images, words
from fittingroom.reporting.critical_difference import critical_difference
from fittingroom.reporting.gallery import gallery
from fittingroom.reporting.model_section import section_of
from fittingroom.reporting.page import Captioned, FigureCard, draw, percent, points, render_page
from fittingroom.reporting.references import references_of

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis, PairAnalysis
    from fittingroom.bench.comparison.leaderboard import Leaderboard
    from fittingroom.bench.comparison.rows import Row
    from fittingroom.data.dataset import Dataset

#: Images shown: per pair, those only one model gets right (each way); those every model gets wrong.
FIXED, ALL_WRONG = 8, 24
#: Training images with a possible label error that are shown.
SUSPECTS = 48
#: Close pairs that have a section of their own.
PAIRS = 8


def render_comparison(analysis: Analysis, dataset: Dataset | None = None) -> str:
    """The whole page; equal analyses give byte-identical text."""
    board = analysis.board
    shown = [*analysis.models.values()][: figures.MODELS]
    sections = [section_of(model, analysis, dataset) for model in shown]
    return render_page(
        "report.html",
        board=board,
        short_names=shorten(board.class_names),
        summary=words.summary(board),
        more=words.findings(analysis),
        pictures=_overview(board),
        differences=_differences(board),
        pairs=[_close_pair(pair, analysis, dataset) for pair in analysis.close_pairs[:PAIRS]],
        models=sections,
        models_left_out=len(analysis.models) - len(sections),
        across=_across(analysis),
        all_wrong=gallery(analysis, dataset, analysis.wrong_for_all[:ALL_WRONG]),
        n_all_wrong=len(analysis.wrong_for_all),
        average=words.average(analysis),
        train_suspects=_train_suspects(analysis, dataset),
        train_suspects_finding=words.train_suspects(analysis),
        sensitivity=analysis.sensitivity,
        sensitivity_finding=words.sensitivity(analysis),
        references=references_of(board.dataset_sha256),
        cite=words.cite(board),
    )


def _overview(board: Leaderboard) -> list[FigureCard]:
    tested = [row for row in board.rows if row.test is not None]
    if not tested:
        return []
    pictures = [
        draw(
            f"Test {board.figure} with 95% intervals",
            figures.accuracy_intervals(board, references_of(board.dataset_sha256)),
            f"Test {board.figure} with 95% intervals: {_accuracies(tested)}.",
            "Lines are 95% intervals. Blue: the first model and those that can't be told apart "
            "from it. Overlapping intervals are not a test: the pairwise tests compare models "
            "image by image, which is more sensitive. Dotted: what others reported, if close.",
        )
    ]
    if len(tested) > 1:
        pictures.append(
            draw(
                "Critical difference diagram",
                critical_difference(board),
                f"Models on the axis of test {board.figure}; bars join models that can't be told "
                "apart.",
                "A bar joins models of which no two are significantly different (5%, adjusted for "
                "all pairs); the table below has every pair.",
            )
        )
    caption = (
        f"Blue: no faster model reaches that {board.figure} (the Pareto front). Vertical lines are "
        "95% intervals; the time axis is logarithmic."
    )
    against_fit = figures.accuracy_against_time(board)
    if against_fit:
        times = {r.model: duration(r.fit_seconds) for r in tested if r.fit_seconds is not None}
        label = f"Test {board.figure} and training time: {_accuracies_and_times(tested, times)}."
        pictures.append(
            draw(f"{_capital(board.figure)} vs. training time", against_fit, label, caption)
        )
    against_prediction = figures.accuracy_against_prediction_time(board)
    if against_prediction:
        times = {
            r.model: f"{r.predict_us_per_image:.1f} µs per image"
            for r in tested
            if r.predict_us_per_image is not None
        }
        label = f"Test {board.figure} and inference time: {_accuracies_and_times(tested, times)}."
        pictures.append(
            draw(f"{_capital(board.figure)} vs. inference time", against_prediction, label, caption)
        )
    return pictures


def _differences(board: Leaderboard) -> FigureCard | None:
    figure = figures.differences(board)
    if figure is None:
        return None
    is_cut = sum(row.test is not None for row in board.rows) > figures.MODELS
    which = f"The first {figures.MODELS} models. " if is_cut else ""
    return draw(
        "Pairwise comparison",
        figure,
        f"Differences in test {board.figure} between models; the table below lists the values.",
        f"{which}Test {board.figure} of the row's model minus that of the column's, in percentage "
        "points. Blue: significantly better; vermilion: significantly worse (5%, adjusted for all "
        "pairs); no colour: no significant difference.",
    )


def _across(analysis: Analysis) -> list[FigureCard]:
    if analysis.agreement is None:
        return []
    names, class_names = list(analysis.models)[: figures.MODELS], analysis.board.class_names
    f1 = np.stack([analysis.models[name].confusion.f1 for name in names])  # (models, classes)
    hardest = np.sort(words.mean_f1(analysis).argsort(kind="stable")[: figures.CLASSES])
    which = "" if len(hardest) == len(class_names) else f"The {len(hardest)} hardest classes. "
    pictures = [
        draw(
            "F1 score by class and model",
            figures.shares(f1[:, hardest], names, [class_names[i] for i in hardest], "F1, %"),
            f"F1 score of each model by class. {words.hardest_for_all(analysis)}",
            f"{which}F1 score in percent: the harmonic mean of precision and recall.",
            finding=words.hardest_for_all(analysis),
        )
    ]
    if len(names) > 1:
        shared = analysis.agreement.shared_mistakes[: len(names), : len(names)]
        pictures.append(
            draw(
                "Error overlap between models",
                figures.shares(shared, names, names, "shared errors, %"),
                f"Shared errors of every pair of models. {words.most_different(analysis)}",
                "Of the images that at least one of two models misclassifies, the share that both "
                "misclassify. Models that share few errors gain most from ensembling.",
                finding=words.most_different(analysis),
            )
        )
    return pictures


def _close_pair(pair: PairAnalysis, analysis: Analysis, dataset: Dataset | None) -> dict[str, Any]:
    by_class = []
    for label, name in enumerate(analysis.board.class_names):
        fixed, broken = (
            int((analysis.labels[p] == label).sum()) for p in (pair.fixed, pair.broken)
        )
        if fixed or broken:
            by_class.append({"name": name, "fixed": fixed, "broken": broken})
    return {
        "a": pair.pair.a,
        "b": pair.pair.b,
        "finding": words.close_pair(pair),
        "by_class": by_class,
        "fixed": gallery(analysis, dataset, pair.fixed[:FIXED], pair.pair.a),
        "broken": gallery(analysis, dataset, pair.broken[:FIXED], pair.pair.b),
    }


def _train_suspects(analysis: Analysis, dataset: Dataset | None) -> list[Captioned]:
    """The most doubtful training labels, each with the suggested class and its own probability."""
    if dataset is None or analysis.train_suspects is None:
        return []
    issues, names = analysis.train_suspects.suspects, words.short_names(analysis.board.class_names)
    shown = []
    for position, label, suggested, confidence in zip(
        issues.positions[:SUSPECTS], issues.given, issues.suggested, issues.confidence, strict=False
    ):
        caption = f"{position:,}: {names[label]} → {names[suggested]}? {confidence:.0%}"
        image = images.picture(np.asarray(dataset.train.images[position]), caption)
        shown.append(Captioned(image, caption))
    return shown


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _accuracies(rows: Sequence[Row]) -> str:
    return "; ".join(
        f"{row.model} {percent(row.test.headline)} ({points(row.test.ci95)})"
        for row in rows
        if row.test
    )


def _accuracies_and_times(rows: Sequence[Row], times: dict[str, Any]) -> str:
    return "; ".join(
        f"{row.model} {percent(row.test.headline)} in {times[row.model]}"
        for row in rows
        if row.test and row.model in times
    )
