from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest

from fittingroom.bench.comparison.leaderboard import Leaderboard
from fittingroom.bench.zalando.grid_search import Point, SearchedGrid
from fittingroom.bench.zalando.zalando import Benchmark
from fittingroom.execution.job import Limits
from fittingroom.models.zalando_grid import Grid
from fittingroom.reporting.zalando_page import (
    benchmark_markdown,
    counts,
    headline,
    left_out,
    points_csv,
    render_benchmark,
)
from fittingroom.runs.spec import RunSpec


def grid(name: str, **fields: Any) -> Grid:
    axes = {"C": (1.0, 10.0, 100.0)}
    return Grid(name=name, written="SVC", axes=axes, about="a machine", seconds=1, **fields)


@pytest.fixture
def found(board: Callable[..., Leaderboard], row: Callable[..., Any]) -> Benchmark:
    """One classifier with a point that is chosen, one of which nothing could be fitted."""

    def point(name: str, C: float, **fields: Any) -> Point:
        chosen = {"C": C}
        return Point(
            written=chosen,
            spec=RunSpec(dataset="ab" * 32, model=name, parameters=chosen, settings=chosen),
            **fields,
        )

    searches = (
        SearchedGrid(
            grid=grid("zalando-svc", repaired="the kernel is <new>"),
            points=(
                point("zalando-svc", 1.0, status="ok", reason=None, choose_accuracy=0.85),
                point("zalando-svc", 10.0, status="ok", reason=None, choose_accuracy=0.875),
                point("zalando-svc", 100.0).stopped(
                    "timeout", "took longer than <9> s", Limits(seconds=9)
                ),
            ),
        ),
        SearchedGrid(
            grid=grid("zalando-other"),
            points=tuple(point("zalando-other", C) for C in (1.0, 10.0, 100.0)),
        ),
    )
    rows = (row("zalando-svc[C=10.0]", 0.8612, 1),)
    return Benchmark(
        dataset_name="fashion-mnist",
        dataset_sha256="ab" * 32,
        searches=searches,
        board=board(rows=rows, pairs=()),
    )


def test_the_table_shows_what_was_chosen(found: Benchmark) -> None:
    svc, other = found.cells
    assert svc == [
        *("zalando-svc", "3", "2", "1 too slow", "C 10.0", "0.8750"),
        *("0.8612", "0.8562-0.8662", "1"),
    ]
    assert other == ["zalando-other", "3", "0", "3 not tried yet", "", "", "", "", ""]


def test_the_page_shows_every_point(found: Benchmark) -> None:
    html = render_benchmark(found)
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
    assert "6 points: 2 fitted, 1 too slow, 3 not tried yet." in text
    assert "C 10.0 87.50% – selected" in text
    assert "timeout: took longer than <9> s" in text
    assert "Not tried yet: 3 C 1.0 C 10.0 C 100.0" in text
    assert "0.8562–0.8662" in text
    assert "Adapted to current scikit-learn: the kernel is <new>." in text
    assert "<new>" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert html == render_benchmark(found)


def test_the_heading_names_classifiers_alone(found: Benchmark) -> None:
    assert headline(found).startswith("zalando-svc reaches 86.1%")
    assert headline(dataclasses.replace(found, board=None)) == ""


def test_nothing_is_left_out_silently(found: Benchmark) -> None:
    assert left_out(found) == [
        "zalando-svc, 1 too slow (took longer than <9> s): C 100.0",
        "Not finished: zalando-other.",
    ]
    assert counts(found) in benchmark_markdown(found)
    assert "- zalando-svc, 1 too slow" in benchmark_markdown(found)


def test_csv_holds_a_line_a_point(found: Benchmark) -> None:
    lines = [*csv.DictReader(io.StringIO(points_csv(found)))]
    assert len(lines) == 6
    assert [line["chosen"] for line in lines[:3]] == ["False", "True", "False"]
    assert lines[2]["reason"] == "took longer than <9> s"
