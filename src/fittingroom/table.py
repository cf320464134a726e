"""Format a table as plain text, HTML, Markdown or CSV."""

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

#: Characters that start a formula in a spreadsheet.
_FORMULA = frozenset("=+-@")
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def text_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()
) -> str:
    """A plain-text table, each column as wide as its longest cell; nothing is cut or wrapped."""
    lines = [tuple(map(printable, line)) for line in (columns, *rows)]
    widths = [max(cell_len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            _pad(cell, width, column in right)
            for column, cell, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _pad(cell: str, width: int, right: bool) -> str:
    padding = " " * (width - cell_len(cell))
    return padding + cell if right else cell + padding


def html_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """An HTML table, for a notebook."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    above = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{above}<thead><tr>{head}</tr></thead>{body}</table>"


def markdown_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[str]
) -> str:
    """A Markdown table of escaped cells; the columns `numbers` are right-aligned."""
    head = [escape_markdown(name) for name in columns]
    rule = ["---:" if name in numbers else "---" for name in columns]
    body = [[escape_markdown(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
}


def escape_latex(text: str) -> str:
    """Escape text for LaTeX; ranges of numbers get LaTeX's dash."""
    escaped = "".join(_LATEX.get(character, character) for character in printable(text))
    return re.sub(r"(?<=\d)-(?=\d)", "--", escaped)


def latex_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Collection[str],
    above: Iterable[str] = (),
) -> str:
    """A LaTeX table of escaped cells with booktabs' rules; `above` are comments before it."""
    layout = "".join("r" if name in numbers else "l" for name in columns)
    head, *body = (" & ".join(map(escape_latex, line)) + r" \\" for line in (columns, *rows))
    texts = [*above, r"This needs \usepackage{booktabs}."]
    comments = [f"% {line}" for text in texts for line in text.splitlines()]
    rules = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*comments, *rules, r"\bottomrule", r"\end{tabular}", ""])


def csv_text(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """The text of a CSV file in which no cell is read as a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(_defuse, head))
    writer.writerows([_defuse(cell) for cell in line] for line in lines)
    return text.getvalue()


def _defuse(cell: Any) -> Any:
    """Keep a cell to one line and spreadsheets from reading it as a formula; a number is none."""
    if not isinstance(cell, str):
        return cell
    cell = printable(cell)
    if _NUMBER.fullmatch(cell):
        return cell
    return f"'{cell}" if unicodedata.normalize("NFKC", cell.lstrip())[:1] in _FORMULA else cell


def escape_markdown(text: str) -> str:
    """Escape text for use within a line of Markdown."""
    return re.sub(r"[\\`*_\[\]<>|~&#]", r"\\\g<0>", printable(text))


def escape_paragraph(text: str) -> str:
    """Escape text for the start of a line of Markdown: no list, no rule."""
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escape_markdown(text))
