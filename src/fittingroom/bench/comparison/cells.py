"""The cells of a leaderboard as text, the same in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fittingroom.bench.comparison.rows import Row, Scores
from fittingroom.evaluation.metrics import METRICS
from fittingroom.formatting import duration, shorten

#: Where all images count alike, the headline is called test accuracy, and `ACCURACY` is left out.
HEADLINE, ACCURACY = "balanced acc.", "accuracy"
COLUMNS = (
    "rank",
    "model",
    HEADLINE,
    "95% interval",
    "sd",
    ACCURACY,
    *(metric.title for metric in METRICS.values()),
    "validation",
    "fit",
    "us/image",
    "engine",
    "indistinguishable from",
)
#: The columns that fit a terminal of 80, if no name is longer than `LONGEST`.
NARROW = ("rank", "model", HEADLINE, "95% interval", "validation", "fit")
LONGEST = 20
TEXTS = ("model", "95% interval", "engine", "indistinguishable from")


class Cells(NamedTuple):
    """A table as texts: what its columns are called, its lines, and which columns are numbers."""

    columns: list[str]
    lines: list[list[str]]
    numbers: set[str]


def wide_cells(rows: Sequence[Row]) -> Cells:
    """Rows with all of their columns."""
    return _table(COLUMNS, rows, [row.model for row in rows])


def narrow_cells(rows: Sequence[Row]) -> Cells:
    """Rows with the columns `NARROW`; long names are shortened."""
    return _table(NARROW, rows, shorten([row.model for row in rows], LONGEST))


def _table(names: Sequence[str], rows: Sequence[Row], models: Sequence[str]) -> Cells:
    balanced = any(row.balanced for row in rows)
    shown = [name for name in names if balanced or name != ACCURACY]
    titles = {} if balanced else {HEADLINE: "test accuracy"}
    columns = [titles.get(name, name) for name in shown]
    lines = []
    for row, model in zip(rows, models, strict=True):
        cells = _cells(row) | {"model": model}
        lines.append([cells.get(name, "") for name in shown])
    return Cells(columns, lines, set(columns).difference(TEXTS))


def _cells(row: Row) -> dict[str, str]:
    """The texts of a row by column; those that it has none for are left out."""
    if not row.scores:
        return {"rank": "-", HEADLINE: row.status, COLUMNS[-1]: row.reason or ""}
    score, time = row.test, row.predict_us_per_image
    figures = {HEADLINE: "not read"} if score is None else _figures(score)
    return {
        "rank": rank(row),
        "95% interval": interval(score),
        "sd": _sd(score, row.deterministic),
        **figures,
        "validation": f"{row.validation.headline:.4f}" if row.validation else "",
        "fit": duration(row.fit_seconds),
        "us/image": "" if time is None else f"{time:.0f}",
        "engine": " ".join(filter(None, [row.engine, row.precision])),
        "indistinguishable from": ", ".join(row.indistinguishable_from),
    }


def _figures(score: Scores) -> dict[str, str]:
    others = {metric.title: metric.text(score.metrics[name]) for name, metric in METRICS.items()}
    return {HEADLINE: f"{score.headline:.4f}", ACCURACY: f"{score.accuracy:.4f}", **others}


def rank(row: Row) -> str:
    """The ranks that a row may have: "1", or "2-4"."""
    if row.rank is None:
        return "-"
    first, last = row.rank
    return str(first) if first == last else f"{first}-{last}"


def interval(score: Scores | None) -> str:
    """The interval of an accuracy; unknown for one seed of a recipe with an unknown spread."""
    if score is None:
        return ""
    return "unknown" if score.ci95 is None else f"{score.ci95[0]:.4f}-{score.ci95[1]:.4f}"


def _sd(score: Scores | None, deterministic: bool) -> str:
    if score is None:
        return ""
    if score.accuracy_sd is None:
        return "deterministic" if deterministic else "?"
    return f"{score.accuracy_sd:.4f}"
