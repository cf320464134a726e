from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.bench.comparison.rows import Row
from fittingroom.reporting.tables import CSV_FILES, leaderboard_markdown

Make = Callable[..., Any]


def read(text: str) -> list[dict[str, str]]:
    return [*csv.DictReader(io.StringIO(text))]


def test_markdown_has_one_line_per_model(board: Make) -> None:
    lines = leaderboard_markdown(board()).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + len(board().rows)
    assert table[2].startswith("| 1 | swift | 0.9412 | 0.9362-0.9462 |")
    assert len({line.count(" | ") for line in table}) == 1
    assert lines[0].startswith("swift is best: 94.1%")
    assert "One seed tells nothing about a re-run: theirs." in lines


def test_markdown_is_escaped(board: Callable[..., Any], row: Callable[..., Any]) -> None:
    hostile = "a|b *c* <i>[d](e)"
    text = leaderboard_markdown(board(rows=(row(hostile, 0.9, 1),), pairs=()))
    assert r"a\|b \*c\* \<i\>\[d\](e)" in text


def test_csv_holds_every_value(compared: Analysis) -> None:
    files = {name: read(text_of(compared)) for name, text_of in CSV_FILES.items()}
    assert [line["model"] for line in files["leaderboard.csv"]] == [
        row.model for row in compared.board.rows
    ]
    best = compared.board.rows[0]
    assert best.test is not None
    assert float(files["leaderboard.csv"][0]["test_accuracy"]) == best.test.accuracy
    assert len(files["pairs.csv"]) == len(compared.board.pairs)
    assert len(files["classes.csv"]) == 10 * len(compared.models)
    assert len(files["confusions.csv"]) == 100 * len(compared.models)
    counts = [float(line["images"]) for line in files["confusions.csv"]]
    assert sum(counts) == len(compared.labels) * len(compared.models)


def test_csv_has_the_balanced_accuracy_where_models_are_ranked_by_it(
    board: Callable[..., Any], analysis: Callable[..., Analysis], row: Callable[..., Row]
) -> None:
    plain = row("swift", 0.9, 1)
    text = CSV_FILES["leaderboard.csv"](analysis(rows=(plain,), pairs=()))
    assert "balanced" not in text
    assert plain.test is not None
    balanced = replace(plain, test=replace(plain.test, balanced_accuracy=0.7))
    (line,) = read(CSV_FILES["leaderboard.csv"](analysis(rows=(balanced,), pairs=())))
    assert (line["test_accuracy"], line["test_balanced_accuracy"]) == ("0.9", "0.7")
    assert line["validation_balanced_accuracy"] == ""
    assert "balanced acc." in leaderboard_markdown(board(rows=(balanced,), pairs=()))


def test_no_cell_is_a_formula(
    board: Callable[..., Any], analysis: Callable[..., Analysis], row: Any
) -> None:
    text = CSV_FILES["leaderboard.csv"](analysis(rows=(row("=1+1", 0.9, 1),), pairs=()))
    assert read(text)[0]["model"] == "'=1+1"


def test_markdown_text_starts_no_list_rule_or_heading(board: Make) -> None:
    for title in ("# a", "- a", "+ a", "1. a", "12) a", "---", "=== a"):
        lines = leaderboard_markdown(board(dataset_title=title, notes=(title,))).splitlines()
        (heading,) = (line for line in lines if line.endswith("test split: 8"))
        assert heading.startswith((f"\\{title[0]}", "1\\.", "12\\)"))
        assert lines[-1] in (title.replace(title[0], f"\\{title[0]}", 1), "1\\. a", "12\\) a")
