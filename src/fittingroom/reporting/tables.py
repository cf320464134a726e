"""A comparison as text for other programs: Markdown to paste, CSV of everything."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fittingroom.bench.cells import COLUMNS, NUMBERS, cells
from fittingroom.printable import printable
from fittingroom.reporting.words import summary

if TYPE_CHECKING:
    from fittingroom.bench.comparison.analysis import Study
    from fittingroom.bench.comparison.leaderboard import Leaderboard, Row, Scores


def leaderboard_markdown(board: Leaderboard) -> str:
    """The table for a README, with the answer above it and the notes below."""
    notes = "".join(f"\n{paragraph(note)}\n" for note in board.notes)
    table = markdown_table(COLUMNS, [cells(row) for row in board.rows], NUMBERS)
    return f"{paragraph(summary(board))}\n\n{table}\n\n{paragraph(board.title)}\n{notes}"


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[str]
) -> str:
    """Cells as a table that Markdown shows as they are; columns of numbers stand right."""
    head = [escaped(name) for name in columns]
    rule = ["---:" if name in numbers else "---" for name in columns]
    body = [[escaped(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


def _leaderboard_csv(study: Study) -> str:
    return csv_text(_LEADERBOARD, map(_leaderboard_line, study.board.rows))


def _pairs_csv(study: Study) -> str:
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
            for p in study.board.pairs
        ),
    )


def _classes_csv(study: Study) -> str:
    return csv_text(
        ("model", "class", "precision", "recall", "f1", "images"),
        (
            (model.model, row.name, row.precision, row.recall, row.f1, row.support)
            for model in study.models.values()
            for row in model.report.classes
        ),
    )


def _confusions_csv(study: Study) -> str:
    names = study.board.class_names
    return csv_text(
        ("model", "class", "predicted", "images"),
        (
            (model.model, names[i], names[j], float(count))
            for model in study.models.values()
            for i, line in enumerate(model.confusion.counts)
            for j, count in enumerate(line)
        ),
    )


#: Every figure of a comparison, as the text of a CSV file by its name.
CSV_FILES = {
    "leaderboard.csv": _leaderboard_csv,
    "pairs.csv": _pairs_csv,
    "classes.csv": _classes_csv,
    "confusions.csv": _confusions_csv,
}


#: What a spreadsheet takes for the begin of a formula.
_FORMULA = frozenset("=+-@")
_SCORES = (
    *("accuracy", "accuracy_sd", "low", "high", "this_fit_low", "this_fit_high"),
    *("macro_f1", "log_loss"),
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


def _scores(scores: Scores | None) -> Sequence[Any]:
    if scores is None:
        return [None] * len(_SCORES)
    of = scores
    ends = (*(of.ci95 or _UNKNOWN), *(of.this_fit_ci95 or _UNKNOWN))
    return of.accuracy, of.accuracy_sd, *ends, of.macro_f1, of.log_loss


def csv_text(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """A CSV file's text; no cell is taken for a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_plain, head))
    writer.writerows([_plain(cell) for cell in line] for line in lines)
    return text.getvalue()


def _plain(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula, in one line."""
    if not isinstance(cell, str):
        return cell
    cell = printable(cell)
    return f"'{cell}" if unicodedata.normalize("NFKC", cell.lstrip())[:1] in _FORMULA else cell


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, within a line."""
    return re.sub(r"[\\`*_\[\]<>|~&#]", r"\\\g<0>", printable(text))


def paragraph(text: str) -> str:
    """Text that Markdown shows as it is where a line begins: no list, no rule."""
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escaped(text))
