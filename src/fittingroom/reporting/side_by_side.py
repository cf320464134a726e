"""The page of a comparison across data sets: the same models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from fittingroom.reporting.class_colors import CLASS_COLORS
from fittingroom.reporting.page import FigureCard, percent, render_page
from fittingroom.reporting.style import (
    CLASS_MARKERS,
    STYLE,
    WIDTH,
    draw,
    label_rows,
    log_ticks,
)
from fittingroom.reporting.words import listed
from fittingroom.table import csv_text, escape_paragraph, latex_table, markdown_table

if TYPE_CHECKING:
    from fittingroom.bench.comparison.side_by_side import Line, OrderChange, SideBySide, Swap

#: The most swaps that a sentence lists; the page has all.
NAMED = 3


def render_side_by_side(sides: SideBySide, command: str | None = None) -> str:
    """The whole page; equal leaderboards give byte-identical text."""
    return render_page(
        "side_by_side.html",
        sides=sides,
        title=listed(sides.names),
        summary=[(_heading(order), order_sentence(order)) for order in sides.orders],
        notes=notes(sides),
        swaps={
            order: [swap_sentence(order, swap) for swap in order.swaps] for order in sides.orders
        },
        picture=_picture(sides),
        command=command,
    )


def side_by_side_latex(sides: SideBySide) -> str:
    """The table for a paper, with its summary and notes as comments above it."""
    above = [*map(order_sentence, sides.orders), *notes(sides)]
    return latex_table(sides.columns, sides.cells, sides.columns[1:], above)


def side_by_side_markdown(sides: SideBySide) -> str:
    """The table for a README, with its summary above it and the notes below."""
    table = markdown_table(sides.columns, sides.cells, numbers=frozenset(sides.columns[1:]))
    orders = [escape_paragraph(order_sentence(order)) for order in sides.orders]
    return "\n\n".join([*orders, table, *map(escape_paragraph, notes(sides))]) + "\n"


def side_by_side_csv(sides: SideBySide) -> str:
    """Every value, one line per model; missing values are empty."""
    scores = ("first_rank", "last_rank", "accuracy", "low", "high")
    head = [f"{name}, {what}" for name in sides.names for what in scores]
    first, *rest = sides.names
    for name in rest:
        difference = f"error, {name} - {first}"
        head += [difference, f"{difference}, low", f"{difference}, high"]
    return csv_text(["model", *head], map(_csv_line, sides.lines))


def _csv_line(line: Line) -> list[Any]:
    cells: list[Any] = [line.model]
    for row in line.rows:
        test = row.test if row else None
        cells += (row and row.rank) or (None, None)
        cells += [test.headline, *(test.ci95 or (None, None))] if test else [None] * 3
    for change in line.differences:
        cells += [change.error, *(change.ci95 or (None, None))] if change else [None] * 3
    return cells


def _heading(order: OrderChange) -> str:
    return f"From {order.first} to {order.second}: {_change(order)}."


def _change(order: OrderChange) -> str:
    if order.swaps:
        return "the ranking changes"
    if order.kept:
        return "the ranking doesn't change"
    return "it is undecided whether the ranking changes"


def order_sentence(order: OrderChange) -> str:
    """Whether the ranking changes between two data sets, and how similar the two orders are."""
    where = f"{order.first} and {order.second}"
    pairs = order.kept + len(order.swaps) + order.undecided
    if not pairs:
        return f"{where}: fewer than two models were tested on both."
    tau = "" if order.kendall_tau is None else f", Kendall's tau {order.kendall_tau:.2f}"
    counts = (
        f"of {pairs:,} pairs {order.kept:,} have the same order on both, {len(order.swaps):,} "
        f"change it, {order.undecided:,} can't be told apart on at least one"
    )
    verdict = _change(order)
    if order.swaps:
        swaps = "; ".join(swap_sentence(order, swap) for swap in order.swaps[:NAMED])
        n_more = len(order.swaps) - NAMED
        more = f"; and {n_more} more" if n_more > 0 else ""
        verdict += f" ({swaps}{more})"
    return f"{where}: {verdict}; {order.models} models{tau}, {counts}."


def swap_sentence(order: OrderChange, swap: Swap) -> str:
    """Which model leads on which data set, and by how much."""
    return (
        f"{swap.better_on_first} is {100 * swap.lead_on_first:.1f} points ahead of "
        f"{swap.better_on_second} on {order.first}, {100 * swap.lead_on_second:.1f} points behind "
        f"on {order.second}"
    )


def notes(sides: SideBySide) -> list[str]:
    """The notes of each leaderboard, with the data set's name."""
    return [
        f"{name}: {text}"
        for name, board in zip(sides.names, sides.boards, strict=True)
        for text in board.notes
    ]


def errors(sides: SideBySide) -> Figure:
    """Test error of each model on each data set with 95% intervals (log axis)."""
    lines = _tested(sides)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1.2 + 0.36 * len(lines)), layout="constrained")
        axes = figure.subplots()
        for i, name in enumerate(sides.names):
            color, marker = CLASS_COLORS[i % 10], CLASS_MARKERS[i % 10]
            for y, line in enumerate(lines):
                row = line.rows[i]
                if row is None or row.test is None:
                    continue
                # A logarithmic axis has no zero; half an image stands for no error.
                least = 50 / sides.boards[i].n_test
                low, high = (max(100 * (1 - end), least) for end in reversed(row.test.ends))
                error = max(100 * (1 - row.test.headline), least)
                axes.plot([low, high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
                axes.plot(error, y, marker, color=color, markersize=7)
            axes.plot([], [], marker, color=color, label=name)
        axes.set_xscale("log")
        ticks = log_ticks(*axes.get_xlim())
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        label_rows(axes, [line.model for line in lines])
        axes.set_xlabel("test error, % (logarithmic)")
        figure.legend(loc="outside upper left", ncols=len(sides.names), frameon=False)
    return figure


def _picture(sides: SideBySide) -> FigureCard | None:
    lines = _tested(sides)
    if not lines:
        return None
    values = "; ".join(
        f"{line.model} "
        + ", ".join(
            f"{percent(1 - row.test.headline)} on {name}"
            for name, row in zip(sides.names, line.rows, strict=True)
            if row and row.test
        )
        for line in lines
    )
    return draw(
        "Test error by data set",
        errors(sides),
        f"Test error of each model: {values}.",
        "Lines are 95% intervals. The axis is logarithmic: equal distances are equal ratios of "
        f"errors. Models are sorted as on {sides.names[0]}.",
    )


def _tested(sides: SideBySide) -> list[Line]:
    return [line for line in sides.lines if any(row and row.test for row in line.rows)]
