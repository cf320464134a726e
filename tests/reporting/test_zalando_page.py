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
def benchmark(board: Callable[..., Leaderboard], row: Callable[..., Any]) -> Benchmark:
    """One classifier with a selected point, and one without any fitted point."""

    def point(name: str, C: float, **fields: Any) -> Point:
        settings = {"C": C}
        return Point(
            written=settings,
            spec=RunSpec(dataset="ab" * 32, model=name, parameters=settings, settings=settings),
            **fields,
        )

    searches = (
        SearchedGrid(
            grid=grid("zalando-svc", adaptation="the kernel is <new>"),
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


def test_the_table_shows_selected_points(benchmark: Benchmark) -> None:
    svc, other = benchmark.cells
    assert svc == [
        *("zalando-svc", "3", "2", "1 too slow", "C 10.0", "0.8750"),
        *("0.8612", "0.8562-0.8662", "1"),
    ]
    assert other == ["zalando-other", "3", "0", "3 not tried yet", "", "", "", "", ""]


def test_the_page_shows_every_point(benchmark: Benchmark) -> None:
    html = render_benchmark(benchmark)
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
    assert "6 points: 2 fitted, 1 too slow, 3 not tried yet." in text
    assert "C 10.0 87.50% – selected" in text
    assert "timeout: took longer than <9> s" in text
    assert "Not tried yet: 3 C 1.0 C 10.0 C 100.0" in text
    assert "0.8562–0.8662" in text
    assert "Adapted to current scikit-learn: the kernel is <new>." in text
    assert "<new>" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert html == render_benchmark(benchmark)


def test_the_headline_names_only_classifiers(benchmark: Benchmark) -> None:
    assert headline(benchmark).startswith("zalando-svc reaches 86.1%")
    assert headline(dataclasses.replace(benchmark, board=None)) == ""


def test_points_without_a_result_are_listed(benchmark: Benchmark) -> None:
    assert left_out(benchmark) == [
        "zalando-svc, 1 too slow (took longer than <9> s): C 100.0",
        "Not finished: zalando-other.",
    ]
    assert counts(benchmark) in benchmark_markdown(benchmark)
    assert "- zalando-svc, 1 too slow" in benchmark_markdown(benchmark)


def test_csv_has_one_line_per_point(benchmark: Benchmark) -> None:
    lines = [*csv.DictReader(io.StringIO(points_csv(benchmark)))]
    assert len(lines) == 6
    assert [line["chosen"] for line in lines[:3]] == ["False", "True", "False"]
    assert lines[2]["reason"] == "took longer than <9> s"
