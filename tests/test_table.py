from __future__ import annotations

import csv
import io

import pytest
from rich.cells import cell_len

from fittingroom.table import (
    csv_text,
    escape_markdown,
    html_table,
    latex_table,
    markdown_table,
    text_table,
)


def test_column_widths_count_wide_characters() -> None:
    wide, plain = "\u9577\u3044\u540d\u524d", "Coat"
    text = text_table(["class", "n"], [[wide, "1"], [plain, "10"], ["e\u0301", "2"]], right={"n"})
    assert {cell_len(line) for line in text.splitlines()} == {len("class") + 3 + 2 + 2}


def test_control_characters_are_escaped() -> None:
    assert escape_markdown("a\x1b[31m\nb &lt; ~~c~~") == r"a\\x1b\[31m\\nb \&lt; \~\~c\~\~"
    assert csv_text(["a"], [["b\x1b\r\nc"]]) == "a\nb\\x1b\\r\\nc\n"
    lines = text_table(["model"], [["a\nb"], ["\u202ec\u2028"]]).splitlines()
    assert lines == ["model", "a\\nb", "\\u202ec\\u2028"]


@pytest.mark.parametrize("cell", ["=1", "+1", "-1+1", "-a", "@a", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_no_cell_and_no_heading_is_a_formula(cell: str) -> None:
    head, line = [*csv.reader(io.StringIO(csv_text([cell], [[cell]])))]
    assert head == line
    assert line[0].startswith(("'", "\\"))
    assert csv_text(["a"], [[-1.5], ["-1.5"]]) == "a\n-1.5\n-1.5\n"  # a number is not a formula


def test_a_table_for_a_notebook_or_a_file_is_escaped() -> None:
    columns, rows = ["model", "n"], [["<b>|", "1"]]
    assert html_table(columns, rows, caption="a & b") == (
        "<table><caption>a &amp; b</caption><thead><tr><th>model</th><th>n</th></tr></thead>"
        "<tr><td>&lt;b&gt;|</td><td>1</td></tr></table>"
    )
    assert markdown_table(columns, rows, numbers={"n"}).splitlines() == [
        *("| model | n |", "| --- | ---: |", r"| \<b\>\| | 1 |")
    ]


def test_latex_escapes_what_it_would_run() -> None:
    table = latex_table(
        ["a_b", "n"], [[r"50% \input{x}", "1-2"], ["~^&#$", "3\n4"]], {"n"}, ["x\ny"]
    )
    assert table.splitlines() == [
        "% x",
        "% y",
        r"% This needs \usepackage{booktabs}.",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"a\_b & n \\",
        r"\midrule",
        r"50\% \textbackslash{}input\{x\} & 1--2 \\",
        r"\textasciitilde{}\textasciicircum{}\&\#\$ & 3\textbackslash{}n4 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
