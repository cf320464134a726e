"""Tables whose cells are coloured by their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from fittingroom.evaluation.confusion import ConfusionMatrix
from fittingroom.evaluation.ranking import ALPHA
from fittingroom.formatting import format_signed, shorten
from fittingroom.reporting.words import p_value

if TYPE_CHECKING:
    from fittingroom.bench.comparison.rows import Pair

#: The most models and classes that a table or a figure shows; of more, the first.
MODELS, CLASSES = 30, 50


@dataclass(frozen=True)
class Cell:
    """A cell; `depth` is how strong its colour is, from 0 to 1, and `tip` says more.

    `view` is the part of the page's address that shows what is behind it.
    """

    text: str = ""
    color: Literal["", "blue", "orange"] = ""
    depth: float = 0.0
    tip: str = ""
    view: str = ""


@dataclass(frozen=True)
class HeatTable:
    """A table of cells with names at the left and above.

    Attributes
    ----------
    title, finding, caption : above the table, and how to read it below it
    corner : what the rows are
    of_models : whether "rows", "columns" or "both" are models, which a reader may hide; or ""
    confusion_of : the model whose confusion matrix it is, or ""
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[Cell]]
    caption: str
    corner: str
    finding: str = ""
    of_models: Literal["", "rows", "both"] = ""
    confusion_of: str = ""

    @property
    def short_columns(self) -> list[str]:
        return list(shorten(self.columns))


def confusion_cells(
    matrix: ConfusionMatrix, names: Sequence[str], relation: str = "predicted as"
) -> list[list[Cell]]:
    """Each true class's shares by predicted class, in percent.

    Blue is correct; vermilion is wrong, relative to the most frequent error. `relation` says in a
    tip how the one class relates to the other.
    """
    totals = matrix.counts.sum(axis=1, keepdims=True)
    shares = matrix.counts / np.maximum(totals, 1)  # (c, c); a row without images is empty
    worst = max(float((shares - np.diag(np.diag(shares))).max()), 1e-9)

    def cell(i: int, j: int) -> Cell:
        share, count = float(shares[i, j]), float(matrix.counts[i, j])
        if count == 0:
            return Cell()
        tip = f"{names[i]} {relation} {names[j]}: {format_count(count)} of {totals[i, 0]:,.0f}"
        text = f"{100 * share:.1f}" if share >= 0.0005 else "·"
        if i == j:
            return Cell(text, "blue", share, tip)
        return Cell(text, "orange", share / worst, tip)

    classes = range(len(names))
    return [[cell(i, j) for j in classes] for i in classes]


def share_cells(
    shares: NDArray[np.floating], rows: Sequence[str], columns: Sequence[str], figure: str
) -> list[list[Cell]]:
    """Shares (rows, columns) in percent; a stronger blue is higher. NaN cells stay empty.

    The colours run from the smallest share to the largest; `figure` names what is shared.
    """
    known = shares[~np.isnan(shares)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)

    def cell(i: int, j: int) -> Cell:
        share = float(shares[i, j])
        if np.isnan(share):
            return Cell()
        depth = 0.1 + 0.9 * (share - low) / max(high - low, 1e-9)
        tip = f"{rows[i]}, {columns[j]}: {figure} {100 * share:.1f}%"
        return Cell(f"{100 * share:.0f}", "blue", depth, tip)

    return [[cell(i, j) for j in range(len(columns))] for i in range(len(rows))]


def difference_cells(names: Sequence[str], pairs: Sequence[Pair]) -> list[list[Cell]]:
    """Differences between models, row minus column, in points; significant ones are coloured."""
    index = {name: i for i, name in enumerate(names)}
    cells = [[Cell()] * len(names) for _ in names]
    for pair in pairs:
        if not {pair.a, pair.b} <= index.keys():
            continue
        for name, other, sign in ((pair.a, pair.b, 1), (pair.b, pair.a, -1)):
            view = f"pair?a={index[other]}&b={index[name]}"
            cells[index[name]][index[other]] = _difference(pair, name, other, sign, view)
    return cells


def _difference(pair: Pair, name: str, other: str, sign: int, view: str) -> Cell:
    points = sign * 100 * pair.difference
    is_significant = pair.p_adjusted is not None and pair.p_adjusted <= ALPHA
    text = format_signed(points, 1).replace("-", "−")
    interval = "interval unknown"
    if pair.ci95 is not None:
        low, high = sorted(sign * 100 * end for end in pair.ci95)
        ends = [format_signed(end, 2).replace("-", "−") for end in (low, high)]
        interval = f"95% interval {ends[0]} to {ends[1]}"
    tip = (
        f"{name} minus {other}: {format_signed(points, 2).replace('-', '−')} points, {interval}, "
        f"adjusted p {p_value(pair.p_adjusted)}"
    )
    if not is_significant:
        return Cell(text, tip=tip, view=view)
    return Cell(text, "blue" if points > 0 else "orange", 0.6, tip, view)


def format_count(count: float) -> str:
    """A mean number of images: "12", or "12.4"."""
    return f"{count:,.0f}" if count == int(count) else f"{count:,.1f}"
