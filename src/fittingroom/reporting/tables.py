"""A comparison as text for other programs: Markdown to paste, CSV of everything."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fittingroom.bench.cells import COLUMNS, NUMBERS, cells
from fittingroom.reporting.words import summary

if TYPE_CHECKING:
    from fittingroom.bench.leaderboard import Leaderboard, Row, Scores
    from fittingroom.bench.study import Study


def leaderboard_markdown(board: Leaderboard) -> str:
    """The table for a README, with the answer above it and the notes below."""
    head = [_escaped(name) for name in COLUMNS]
    rule = ["---:" if name in NUMBERS else "---" for name in COLUMNS]
    rows = [[_escaped(cell) for cell in cells(row)] for row in board.rows]
    lines = [f"| {' | '.join(line)} |" for line in (head, rule, *rows)]
    notes = "".join(f"\n{_escaped(note)}\n" for note in board.notes)
    table = "\n".join(lines)
    return f"{_escaped(summary(board))}\n\n{table}\n\n{_escaped(board.title)}\n{notes}"


def csv_files(study: Study) -> dict[str, str]:
    """Every figure of a comparison, as the text of a CSV file by its name."""
    board = study.board
    names = board.class_names
    return {
        "leaderboard.csv": _csv(_LEADERBOARD, (_leaderboard_line(row) for row in board.rows)),
        "pairs.csv": _csv(
            ("a", "b", "difference", "low", "high", "p", "p_holm", "only_a_right", "only_b_right"),
            (
                (p.a, p.b, p.difference, *p.ci95, p.p, p.p_holm, p.only_a_right, p.only_b_right)
                for p in board.pairs
            ),
        ),
        "classes.csv": _csv(
            ("model", "class", "precision", "recall", "f1", "images"),
            (
                (model.model, row.name, row.precision, row.recall, row.f1, row.support)
                for model in study.models.values()
                for row in model.report.classes
            ),
        ),
        "confusions.csv": _csv(
            ("model", "class", "predicted", "images"),
            (
                (model.model, names[i], names[j], float(count))
                for model in study.models.values()
                for i, line in enumerate(model.confusion.counts)
                for j, count in enumerate(line)
            ),
        ),
    }


_SCORES = ("accuracy", "accuracy_sd", "low", "high", "macro_f1", "log_loss")
_LEADERBOARD = (
    *("rank", "model", "status", "reason", "seeds", "deterministic", "trained_on"),
    *(f"test_{name}" for name in _SCORES),
    *(f"validation_{name}" for name in _SCORES),
    *("fit_seconds", "predict_us_per_image", "parameters", "engine", "precision"),
    "indistinguishable_from",
)


def _leaderboard_line(row: Row) -> Sequence[Any]:
    return (
        *(row.rank, row.model, row.status, row.reason, row.seeds, row.deterministic),
        *(row.trained_on, *_scores(row.test), *_scores(row.validation)),
        *(row.fit_seconds, row.predict_us_per_image, row.parameters, row.engine, row.precision),
        "; ".join(row.indistinguishable_from),
    )


def _scores(scores: Scores | None) -> Sequence[Any]:
    if scores is None:
        return [None] * len(_SCORES)
    of = scores
    return of.accuracy, of.accuracy_sd, *of.ci95, of.macro_f1, of.log_loss


def _csv(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_plain(cell) for cell in line] for line in lines)
    return text.getvalue()


def _plain(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t"):
        return f"'{cell}"
    return cell


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")
