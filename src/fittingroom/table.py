"""Columns and cells as a table: plain text, HTML, Markdown, CSV."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from html import escape
from typing import Any

from rich.cells import cell_len

from fittingroom.printable import printable

#: What a spreadsheet takes for the begin of a formula.
_FORMULA = frozenset("=+-@")


def text_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()
) -> str:
    """Columns as wide as a terminal shows their longest cell; nothing is cut or wrapped."""
    lines = [tuple(map(printable, line)) for line in (columns, *rows)]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            _padded(cell, width, column in right)
            for column, cell, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _padded(cell: str, width: int, right: bool) -> str:
    blanks = " " * (width - cell_len(cell))
    return blanks + cell if right else cell + blanks


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """Cells as an HTML table, for a notebook."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{above}<thead><tr>{head}</tr></thead>{body}</table>"


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[str]
) -> str:
    """Cells as a table that Markdown shows as they are; columns of numbers stand right."""
    head = [escaped(name) for name in columns]
    rule = ["---:" if name in numbers else "---" for name in columns]
    body = [[escaped(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


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
