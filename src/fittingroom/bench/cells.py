"""The cells of a leaderboard as text, the same in a terminal and in a notebook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

if TYPE_CHECKING:
    from fittingroom.bench.comparison.leaderboard import Row, Scores

COLUMNS = (
    "rank",
    "model",
    "test accuracy",
    "95% interval",
    "sd",
    "macro F1",
    "log loss",
    "validation",
    "fit",
    "us/image",
    "engine",
    "indistinguishable from",
)
NUMBERS = frozenset(
    {"rank", "test accuracy", "sd", "macro F1", "log loss", "validation", "fit", "us/image"}
)


def cells(row: Row) -> list[str]:
    """One row, a text for each of `COLUMNS`."""
    if row.test is None and row.validation is None:
        return ["-", row.model, row.status, *[""] * 8, row.reason or ""]
    score = row.test
    return [
        rank(row),
        row.model,
        f"{score.accuracy:.4f}" if score else "not read",
        interval(score),
        _sd(score, row.deterministic),
        f"{score.macro_f1:.4f}" if score else "",
        f"{score.log_loss:.3f}" if score else "",
        f"{row.validation.accuracy:.4f}" if row.validation else "",
        duration(row.fit_seconds),
        f"{row.predict_us_per_image:.0f}" if row.predict_us_per_image is not None else "",
        " ".join(filter(None, [row.engine, row.precision])),
        ", ".join(row.indistinguishable_from),
    ]


def rank(row: Row) -> str:
    """The places that a row may have: "1", or "2-4"."""
    if row.rank is None:
        return "-"
    first, last = row.rank
    return str(first) if first == last else f"{first}-{last}"


def interval(score: Scores | None) -> str:
    """The interval of an accuracy; nobody knows that of one seed of a recipe new to all."""
    if score is None:
        return ""
    return "unknown" if score.ci95 is None else f"{score.ci95[0]:.4f}-{score.ci95[1]:.4f}"


def _sd(score: Scores | None, deterministic: bool) -> str:
    if score is None:
        return ""
    if score.accuracy_sd is None:
        return "deterministic" if deterministic else "?"
    return f"{score.accuracy_sd:.4f}"


def shortened(names: Sequence[str], at_most: int = 22) -> list[str]:
    """Names that take no more than `at_most` cells of a terminal, where a wide sign takes two.

    Those that would begin alike keep their ends as well.
    """
    cut = [_cut(name, at_most) for name in names]
    times = Counter(cut)
    return [
        _cut(name, at_most, at_most // 2) if times[short] > 1 and short != name else short
        for name, short in zip(names, cut, strict=True)
    ]


def _cut(name: str, at_most: int, end: int = 0) -> str:
    """A name without its middle, or without what is before the last `end` cells."""
    if cell_len(name) <= at_most:
        return name
    lengths = range(len(name), -1, -1)
    head = next(name[:n] for n in lengths if cell_len(name[:n]) < at_most - end)
    tail = next(name[len(name) - n :] for n in lengths if cell_len(name[len(name) - n :]) <= end)
    return f"{head}…{tail}"


def signed(number: float, digits: int, plus: str = "+") -> str:
    """A difference with its sign; what rounds to nothing has none."""
    text = f"{abs(number):.{digits}f}"
    if not text.strip("0."):
        return text
    return f"{'-' if number < 0 else plus}{text}"


def duration(seconds: float | None) -> str:
    """Two significant parts at most: "0.4 s", "12 s", "3 min 5 s", "2 h 10 min"."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds < 0.95 else f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two_parts(whole, 60, "min", "s")
    return _two_parts(round(whole / 60), 60, "h", "min")


def _two_parts(count: int, unit: int, large: str, small: str) -> str:
    first, second = divmod(count, unit)
    return f"{first} {large} {second} {small}" if second else f"{first} {large}"
