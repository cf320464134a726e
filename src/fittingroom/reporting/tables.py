"""A comparison as Markdown to paste, and as CSV with every value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fittingroom.bench.comparison.cells import narrow_cells, wide_cells
from fittingroom.evaluation.metrics import METRICS
from fittingroom.reporting.words import summary
from fittingroom.table import csv_text, escape_paragraph, latex_table, markdown_table

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Analysis
    from fittingroom.bench.comparison.leaderboard import Leaderboard
    from fittingroom.bench.comparison.rows import Row, Scores


def leaderboard_markdown(board: Leaderboard) -> str:
    """The table for a README, with the summary above it and the notes below."""
    notes = "".join(f"\n{escape_paragraph(note)}\n" for note in board.notes)
    table = markdown_table(*wide_cells(board.rows))
    return (
        f"{escape_paragraph(summary(board))}\n\n{table}\n\n{escape_paragraph(board.title)}\n{notes}"
    )


def leaderboard_latex(board: Leaderboard) -> str:
    """The leaderboard for a paper, and above it, as comments, what has to be said with it."""
    above = [summary(board), board.title, *board.notes]
    return latex_table(*narrow_cells(board.rows), above)


def _leaderboard_csv(analysis: Analysis) -> str:
    board = analysis.board
    columns = [*_LEADERBOARD, *(_BALANCED if board.balanced else ())]
    lines = ((*_leaderboard_line(row), *_balanced(row, board.balanced)) for row in board.rows)
    return csv_text(columns, lines)


def _pairs_csv(analysis: Analysis) -> str:
    return csv_text(
        (
            *("a", "b", "difference", "low", "high", "p", "p_adjusted", "p_these_fits"),
            *("only_a_right", "only_b_right", "method", "standard_error", "degrees_of_freedom"),
            "single_seed",
        ),
        (
            (
                *(p.a, p.b, p.difference, *(p.ci95 or _UNKNOWN), p.p, p.p_adjusted),
                *(p.p_these_fits, p.only_a_right, p.only_b_right, p.method, p.standard_error),
                *(p.degrees_of_freedom, p.single_seed),
            )
            for p in analysis.board.pairs
        ),
    )


def _classes_csv(analysis: Analysis) -> str:
    return csv_text(
        ("model", "class", "precision", "recall", "f1", "images"),
        (
            (model.model, row.name, row.precision, row.recall, row.f1, row.support)
            for model in analysis.models.values()
            for row in model.report.classes
        ),
    )


def _confusions_csv(analysis: Analysis) -> str:
    names = analysis.board.class_names
    return csv_text(
        ("model", "class", "predicted", "images"),
        (
            (model.model, names[i], names[j], float(count))
            for model in analysis.models.values()
            for i, row in enumerate(model.confusion.counts)
            for j, count in enumerate(row)
        ),
    )


#: Every value of a comparison: functions that return the text of a CSV file, by its name.
CSV_FILES = {
    "leaderboard.csv": _leaderboard_csv,
    "pairs.csv": _pairs_csv,
    "classes.csv": _classes_csv,
    "confusions.csv": _confusions_csv,
}


_SCORES = (
    *("accuracy", "accuracy_sd", "low", "high", "this_fit_low", "this_fit_high"),
    *METRICS,
)
_UNKNOWN = (None, None)
_LEADERBOARD = (
    *("first_rank", "last_rank", "model", "status", "reason"),
    *("seeds", "deterministic", "trained_on"),
    *(f"test_{name}" for name in _SCORES),
    *(f"validation_{name}" for name in _SCORES),
    *("fit_seconds", "predict_us_per_image", "parameters", "engine", "precision"),
    "indistinguishable_from",
)


def _leaderboard_line(row: Row) -> Sequence[Any]:
    return (
        *(*(row.rank or _UNKNOWN), row.model, row.status, row.reason, row.seeds, row.deterministic),
        *(row.trained_on, *_scores(row.test), *_scores(row.validation)),
        *(row.fit_seconds, row.predict_us_per_image, row.parameters, row.engine, row.precision),
        "; ".join(row.indistinguishable_from),
    )


#: Further columns where models are ranked by them; the intervals are of these then.
_BALANCED = ("test_balanced_accuracy", "validation_balanced_accuracy")


def _balanced(row: Row, shown: bool) -> Sequence[float | None]:
    if not shown:
        return ()
    scores = (row.test, row.validation)
    return [None if score is None else score.balanced_accuracy for score in scores]


def _scores(scores: Scores | None) -> Sequence[Any]:
    if scores is None:
        return [None] * len(_SCORES)
    s = scores
    bounds = (*(s.ci95 or _UNKNOWN), *(s.this_fit_ci95 or _UNKNOWN))
    return s.accuracy, s.accuracy_sd, *bounds, *s.metrics.values()
