"""The makers' benchmark as a page and as text: every grid point, fitted or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fittingroom.bench.zalando.zalando import NOT_FITTED
from fittingroom.models.settings import settings_in_words
from fittingroom.reporting.page import render_page
from fittingroom.reporting.words import listed, summary
from fittingroom.table import csv_text, escape_markdown, latex_table, markdown_table

if TYPE_CHECKING:
    from fittingroom.bench.zalando.zalando import Benchmark

#: The most points that a line of text lists; the page has all.
NAMED = 4


def render_benchmark(benchmark: Benchmark) -> str:
    """The whole page; equal benchmarks give byte-identical text."""
    return render_page(
        "zalando.html",
        benchmark=benchmark,
        columns=benchmark.columns,
        numbers=benchmark.numbers,
        headline=headline(benchmark),
        counts=counts(benchmark),
        settings=settings_in_words,
    )


def benchmark_latex(benchmark: Benchmark) -> str:
    """The table for a paper, and the points without a result as comments above it."""
    return latex_table(
        benchmark.columns,
        benchmark.cells,
        benchmark.numbers,
        [counts(benchmark), *left_out(benchmark)],
    )


def benchmark_markdown(benchmark: Benchmark) -> str:
    """The table for a README, and the points without a result."""
    table = markdown_table(benchmark.columns, benchmark.cells, benchmark.numbers)
    lines = "".join(f"\n- {escape_markdown(line)}" for line in left_out(benchmark))
    return f"{escape_markdown(counts(benchmark))}\n\n{table}\n{lines}\n"


def points_csv(benchmark: Benchmark) -> str:
    """One line per point."""
    return csv_text(
        ("classifier", "settings", "status", "reason", "choose_accuracy", "fit_seconds", "chosen"),
        (
            (
                *(point.classifier, settings_in_words(point.written), point.status, point.reason),
                *(point.choose_accuracy, point.fit_seconds, point is search.chosen),
            )
            for search in benchmark.searches
            for point in search.points
        ),
    )


def headline(benchmark: Benchmark) -> str:
    """Which classifier is best, by name alone, as each has one row; empty without a leaderboard."""
    text = "" if benchmark.board is None else summary(benchmark.board)
    for search in benchmark.searches:
        if search.chosen is not None:
            text = text.replace(search.chosen.label, search.grid.name)
    return text


def counts(benchmark: Benchmark) -> str:
    """How many points there are, by status."""
    points = [point for search in benchmark.searches for point in search.points]
    statuses = [point.status for point in points]
    not_fitted = "".join(
        f", {statuses.count(s)} {name}" for s, name in NOT_FITTED.items() if s in statuses
    )
    return f"{len(points)} points: {statuses.count('ok')} fitted{not_fitted}."


def left_out(benchmark: Benchmark) -> list[str]:
    """One line per classifier and reason why points have no result; then what isn't finished."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for search in benchmark.searches:
        for point in search.points:
            if point.status not in ("ok", "interrupted"):
                key = (point.classifier, NOT_FITTED[point.status], point.reason or "")
                groups.setdefault(key, []).append(settings_in_words(point.written))
    lines = [
        f"{classifier}, {len(points)} {status} ({reason}): {'; '.join(points[:NAMED])}"
        + (f"; and {len(points) - NAMED} more" if len(points) > NAMED else "")
        for (classifier, status, reason), points in groups.items()
    ]
    to_do = [search.grid.name for search in benchmark.searches if not search.finished]
    return [*lines, f"Not finished: {listed(to_do)}."] if to_do else lines
