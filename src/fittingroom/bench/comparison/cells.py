"""The cells of a leaderboard as text, the same in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Sequence

from fittingroom.bench.comparison.rows import Row, Scores
from fittingroom.evaluation.metrics import METRICS
from fittingroom.formatting import duration, shorten

COLUMNS = (
    "rank",
    "model",
    "test accuracy",
    "95% interval",
    "sd",
    *(metric.title for metric in METRICS.values()),
    "validation",
    "fit",
    "us/image",
    "engine",
    "indistinguishable from",
)
#: The columns that fit a terminal of 80, if no name is longer than `LONGEST`.
NARROW = ("rank", "model", "test accuracy", "95% interval", "validation", "fit")
LONGEST = 20
NUMBERS = frozenset(COLUMNS) - {"model", "95% interval", "engine", "indistinguishable from"}


def cells(row: Row) -> list[str]:
    """A row as texts, one for each of `COLUMNS`."""
    if row.test is None and row.validation is None:
        return ["-", row.model, row.status, *[""] * (len(COLUMNS) - 4), row.reason or ""]
    score = row.test
    return [
        rank(row),
        row.model,
        f"{score.accuracy:.4f}" if score else "not read",
        interval(score),
        _sd(score, row.deterministic),
        *(metric.text(score.metrics[name]) if score else "" for name, metric in METRICS.items()),
        f"{row.validation.accuracy:.4f}" if row.validation else "",
        duration(row.fit_seconds),
        f"{row.predict_us_per_image:.0f}" if row.predict_us_per_image is not None else "",
        " ".join(filter(None, [row.engine, row.precision])),
        ", ".join(row.indistinguishable_from),
    ]


def narrow_cells(rows: Sequence[Row]) -> list[list[str]]:
    """Rows as texts, one for each column of `NARROW`; long names are shortened."""
    places = [COLUMNS.index(name) for name in NARROW]
    lines = [[cells(row)[place] for place in places] for row in rows]
    names = shorten([row.model for row in rows], LONGEST)
    return [[first, name, *others] for (first, _, *others), name in zip(lines, names, strict=True)]


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
