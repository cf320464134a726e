"""The same models on several data sets: differences in error, and changes of their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from fittingroom.bench.comparison.cells import rank
from fittingroom.bench.comparison.leaderboard import Leaderboard
from fittingroom.bench.comparison.rows import Row
from fittingroom.errors import UsageError
from fittingroom.evaluation.intervals import Interval, independent_interval
from fittingroom.formatting import format_signed
from fittingroom.json_text import json_text
from fittingroom.table import html_table

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class ErrorDifference:
    """Error on a further data set minus error on the first, with its 95% interval."""

    error: float
    ci95: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Line:
    """One model: its row of each leaderboard (None if it has none), and differences in error.

    `differences` has an entry for each data set but the first, None if a figure is missing.
    """

    model: str
    rows: tuple[Row | None, ...]
    differences: tuple[ErrorDifference | None, ...]


@dataclass(frozen=True, kw_only=True)
class Swap:
    """Two models that are each significantly better on one of two data sets."""

    better_on_first: str
    better_on_second: str
    lead_on_first: float
    lead_on_second: float


@dataclass(frozen=True, kw_only=True)
class OrderChange:
    """How the order of the models on one data set agrees with that on another.

    `models` counts those with test figures on both. `kendall_tau` is tau-b of their accuracies,
    None if there are fewer than two or all are equal. Of the pairs, `kept` have the same model
    significantly ahead on both, `swaps` different ones, and `undecided` can't be told apart on at
    least one.
    """

    first: str
    second: str
    models: int
    kendall_tau: float | None
    kept: int
    swaps: tuple[Swap, ...]
    undecided: int


@dataclass(frozen=True, kw_only=True, repr=False)
class SideBySide:
    """Leaderboards of several data sets side by side; lines are in the order of the first."""

    boards: tuple[Leaderboard, ...]
    lines: tuple[Line, ...]
    orders: tuple[OrderChange, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Unique names of the data sets."""
        return _names(self.boards)

    def to_dict(self) -> dict[str, Any]:
        """`side-by-side.json`: the leaderboards, and how they compare."""
        return {
            "schema_version": SCHEMA_VERSION,
            "leaderboards": [board.to_dict() for board in self.boards],
            "models": [_figures(line, self.names) for line in self.lines],
            "orders": [dataclasses.asdict(order) for order in self.orders],
        }

    def to_json(self) -> str:
        return json_text(self.to_dict())

    @property
    def columns(self) -> tuple[str, ...]:
        """Column heads of `cells`."""
        first, *others = self.names
        return (
            "model",
            *(f"{name}, rank" for name in self.names),
            *(
                f"{name}, {board.figure}"
                for name, board in zip(self.names, self.boards, strict=True)
            ),
            *(f"{name}, error" for name in self.names),
            *(head for name in others for head in (f"error, {name} - {first}", "95% interval")),
        )

    @property
    def cells(self) -> list[list[str]]:
        """One line per model, with a text for each column."""
        return [_cells(line) for line in self.lines]

    def __repr__(self) -> str:
        return f"<SideBySide of {len(self.lines)} models on {', '.join(self.names)}>"

    def _repr_html_(self) -> str:
        return html_table(self.columns, self.cells)


def side_by_side(boards: Sequence[Leaderboard]) -> SideBySide:
    """Put leaderboards of different data sets side by side.

    Parameters
    ----------
    boards : two or more, as `compare` returns them; differences are to the first

    Raises
    ------
    UsageError : there are fewer than two, or two of the same data
    """
    if len(boards) < 2:
        raise UsageError("give the leaderboards of at least two data sets.")
    if len({board.dataset_sha256 for board in boards}) < len(boards):
        raise UsageError("two of the data sets hold the same images and labels; name each once.")
    rows = [{row.model: row for row in board.rows} for board in boards]
    models = dict.fromkeys(model for by_model in rows for model in by_model)
    names = _names(boards)
    return SideBySide(
        boards=tuple(boards),
        lines=tuple(_line(model, [by_model.get(model) for by_model in rows]) for model in models),
        orders=tuple(
            _order(names[i], rows[i], names[j], rows[j])
            for i, j in combinations(range(len(boards)), 2)
        ),
    )


def _names(boards: Sequence[Leaderboard]) -> tuple[str, ...]:
    titles = [board.dataset_title for board in boards]
    return tuple(
        title if titles.count(title) == 1 else f"{title} {board.dataset_sha256[:8]}"
        for title, board in zip(titles, boards, strict=True)
    )


def _line(model: str, rows: Sequence[Row | None]) -> Line:
    first, *others = rows
    return Line(
        model=model, rows=tuple(rows), differences=tuple(_difference(first, row) for row in others)
    )


def _difference(first: Row | None, other: Row | None) -> ErrorDifference | None:
    if first is None or first.test is None or other is None or other.test is None:
        return None
    if first.balanced != other.balanced:  # errors of two kinds have no difference
        return None
    here, there = first.test, other.test  # as error is 1 - headline
    error = here.headline - there.headline
    if here.ci95 is None or there.ci95 is None:
        return ErrorDifference(error=error, ci95=None)
    interval = independent_interval(
        here.headline, Interval(*here.ci95), there.headline, Interval(*there.ci95)
    )
    return ErrorDifference(error=error, ci95=interval.bounds)


def _order(
    first: str, here: Mapping[str, Row], second: str, there: Mapping[str, Row]
) -> OrderChange:
    both = [m for m, row in here.items() if row.test and m in there and there[m].test]
    kept, undecided, swaps = 0, 0, []
    for a, b in combinations(both, 2):
        on_first, on_second = (_lead(rows, a, b) for rows in (here, there))
        if on_first is None or on_second is None:
            undecided += 1
        elif (on_first > 0) == (on_second > 0):
            kept += 1
        else:
            swaps.append(
                Swap(
                    better_on_first=a if on_first > 0 else b,
                    better_on_second=b if on_first > 0 else a,
                    lead_on_first=abs(on_first),
                    lead_on_second=abs(on_second),
                )
            )
    return OrderChange(
        first=first,
        second=second,
        models=len(both),
        kendall_tau=_tau(*([_accuracy(rows[m]) for m in both] for rows in (here, there))),
        kept=kept,
        swaps=tuple(swaps),
        undecided=undecided,
    )


def _lead(rows: Mapping[str, Row], a: str, b: str) -> float | None:
    """Accuracy of `a` minus that of `b`; None where the leaderboard can't tell them apart."""
    if b in rows[a].indistinguishable_from:
        return None
    return _accuracy(rows[a]) - _accuracy(rows[b])


def _accuracy(row: Row) -> float:
    assert row.test is not None
    return row.test.headline


def _tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b (1945, Biometrika 33:239-251), which allows for ties."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(kendalltau(np.array(first), np.array(second)).statistic)


def _figures(line: Line, names: Sequence[str]) -> dict[str, Any]:
    on = [
        {
            "dataset": name,
            "rank": row.rank if row else None,
            "accuracy": row.test.accuracy if row and row.test else None,
            **_balanced(row),
            "error": 1 - row.test.headline if row and row.test else None,
            "ci95": list(row.test.ci95) if row and row.test and row.test.ci95 else None,
        }
        for name, row in zip(names, line.rows, strict=True)
    ]
    differences = [
        {"dataset": name, **(dataclasses.asdict(diff) if diff else {"error": None, "ci95": None})}
        for name, diff in zip(names[1:], line.differences, strict=True)
    ]
    return {"model": line.model, "on": on, "error_differences": differences}


def _balanced(row: Row | None) -> dict[str, float]:
    """The balanced accuracy of a row that has one."""
    if row is None or row.test is None or row.test.balanced_accuracy is None:
        return {}
    return {"balanced_accuracy": row.test.balanced_accuracy}


def _cells(line: Line) -> list[str]:
    scores = [row.test if row else None for row in line.rows]
    differences = [
        text
        for diff in line.differences
        for text in (
            (
                format_signed(diff.error, 4),
                " to ".join(format_signed(end, 4) for end in diff.ci95 or ()),
            )
            if diff
            else ("", "")
        )
    ]
    return [
        line.model,
        *(rank(row) if row else "-" for row in line.rows),
        *(
            f"{score.headline:.4f}" if score else row.status if row and not row.validation else "-"
            for score, row in zip(scores, line.rows, strict=True)
        ),
        *(f"{1 - score.headline:.4f}" if score else "" for score in scores),
        *differences,
    ]
