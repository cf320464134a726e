from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from fittingroom.bench.comparison.leaderboard import Leaderboard
from fittingroom.bench.comparison.side_by_side import SideBySide, side_by_side
from fittingroom.reporting.side_by_side import (
    order_sentence,
    render_side_by_side,
    side_by_side_csv,
    side_by_side_markdown,
)


@pytest.fixture
def sides(board: Callable[..., Leaderboard], row: Callable[..., Any]) -> SideBySide:
    """`knn` overtakes `cnn-32` on the second data set, on which `swift` makes no error."""
    rows = (row("swift", 0.94, 1), row("cnn-32", 0.90, 2), row("knn", 0.86, 3))
    rows_2 = (row("swift", 1.0, 1), row("knn", 0.97, 2), row("cnn-32", 0.95, 3))
    second = {"dataset_title": "Digits <i>", "dataset_sha256": "cd" * 32, "n_test": 5_000}
    return side_by_side([board(rows=rows), board(rows=rows_2, **second)])


def test_the_page_says_what_changes(sides: SideBySide) -> None:
    html = render_side_by_side(sides, "fittingroom compare -d a -d b")
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
    assert (
        "the ranking changes (cnn-32 is 4.0 points ahead of knn on Fashion-MNIST, 2.0 points "
        "behind on Digits <i>)" in text
    )
    assert "3 models, Kendall's tau 0.33, of 3 pairs 2 have the same order on both" in text
    assert "Fashion-MNIST: One seed tells nothing about a re-run: theirs." in text
    assert "fittingroom compare -d a -d b" in text
    for line in sides.cells:
        for cell in line:
            assert cell.replace("-", "−") in text or cell in text
    assert "<svg" in html
    assert "<i>" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert html == render_side_by_side(sides, "fittingroom compare -d a -d b")


def test_markdown_holds_the_table(sides: SideBySide) -> None:
    lines = [line for line in side_by_side_markdown(sides).splitlines() if line[:1] == "|"]
    assert len(lines) == 2 + 3
    assert lines[2].startswith("| swift | 1 | 1 | 0.9400 | 1.0000 | 0.0600 | 0.0000 | -0.0600 |")
    assert r"Digits \<i\>, rank" in lines[0]


def test_csv_holds_values(sides: SideBySide) -> None:
    lines = [*csv.DictReader(io.StringIO(side_by_side_csv(sides)))]
    assert [line["model"] for line in lines] == ["swift", "cnn-32", "knn"]
    for line, shown in zip(lines, sides.lines, strict=True):
        (difference,) = shown.differences
        assert difference is not None
        assert difference.ci95 is not None
        head = "error, Digits <i> - Fashion-MNIST"
        assert (float(line[head]), float(line[f"{head}, low"])) == (
            difference.error,
            difference.ci95[0],
        )
        assert shown.rows[1] is not None
        ranks = [int(line[f"Digits <i>, {which}_rank"]) for which in ("first", "last")]
        assert ranks == [*(shown.rows[1].rank or ())]


def test_markdown_escapes_names(sides: SideBySide) -> None:
    assert r"2.0 points behind on Digits \<i\>" in side_by_side_markdown(sides)


def test_an_unchanged_order(board: Callable[..., Leaderboard], row: Callable[..., Any]) -> None:
    rows = (row("swift", 0.94, 1), row("knn", 0.86, 2))
    boards = [board(rows=rows), board(rows=rows, dataset_sha256="cd" * 32, dataset_title="x")]
    (order,) = side_by_side(boards).orders
    assert "the ranking doesn't change; 2 models, Kendall's tau 1.00" in order_sentence(order)
    boards[1] = board(rows=rows[:1], dataset_sha256="cd" * 32, dataset_title="x")
    (order,) = side_by_side(boards).orders
    assert order_sentence(order).endswith("fewer than two models were tested on both.")
    assert "it is undecided whether the ranking changes." in unescape(
        render_side_by_side(side_by_side(boards))
    )


def test_an_order_without_a_decided_pair_is_undecided(
    board: Callable[..., Leaderboard], row: Callable[..., Any]
) -> None:
    alike = (
        row("swift", 0.94, 1, ["knn"]),
        row("knn", 0.94, 1, ["swift"]),
    )
    boards = [board(rows=alike), board(rows=alike, dataset_sha256="cd" * 32, dataset_title="x")]
    (order,) = side_by_side(boards).orders
    assert "it is undecided whether the ranking changes; 2 models" in order_sentence(order)
    assert "doesn't change" not in unescape(render_side_by_side(side_by_side(boards)))


def test_words_among_numbers_keep_their_hyphens(board: Callable[..., Leaderboard]) -> None:
    boards = [board(), board(dataset_sha256="cd" * 32, dataset_title="x")]
    assert "out-of-memory" in unescape(render_side_by_side(side_by_side(boards)))
