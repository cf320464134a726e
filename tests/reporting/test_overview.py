from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.bench.comparison.leaderboard import Leaderboard
from fittingroom.bench.comparison.rows import Row
from fittingroom.data.catalog import DATASETS
from fittingroom.reporting import heat_table, overview

Boards = Callable[..., Leaderboard]


def test_every_tested_model_has_an_interval(board: Boards) -> None:
    chart = overview.interval_chart(board())
    assert chart is not None
    assert [row.model for row in chart.rows] == ["swift", "svm-rbf", "cnn-32", "theirs"]
    swift, *_, theirs = chart.rows
    assert 0 <= theirs.low == theirs.at == theirs.high < swift.low < swift.at < swift.high <= 100
    assert [row.is_known for row in chart.rows] == [True, True, True, False]
    assert [row.is_first for row in chart.rows] == [True, False, False, True]
    assert swift.tip == ("swift: 94.12%, 95% interval 93.62–94.62; 10,000 test images, 3 seeds")
    assert [row.groups for row in chart.rows] == [[False], [True], [True], [True]]
    assert chart.references == {}
    assert overview.interval_chart(board(rows=board().rows[4:])) is None


def test_references_are_shown_if_they_are_close(board: Boards) -> None:
    chart = overview.interval_chart(board(dataset_sha256=DATASETS["fashion-mnist"].content))
    assert chart is not None
    assert [*chart.references] == ["makers' SVM 89.7", "makers' CNN 91.6"]


def test_plots_of_times_omit_models_without_a_time(board: Boards, row: Callable[..., Row]) -> None:
    training, inference = overview.time_plots(board())
    assert "cnn-32 90.04% in 1 min 8 s" in training.svg
    assert "svm-rbf 90.21% in 12.3 µs" in inference.svg
    assert "theirs" not in training.svg
    timeless = row("a", 0.9, 1, seconds=None, predict_us_per_image=None)
    assert overview.time_plots(board(rows=(timeless,))) == []


def test_the_pareto_front_is_blue(board: Boards, row: Callable[..., Row]) -> None:
    rows = (row("a", 0.9, 1, seconds=10.0), row("b", 0.85, 2, seconds=20.0))
    plot = overview.time_plots(board(rows=rows))[0].svg
    assert plot.index('class="blue" data-tip="a') < plot.index('class="gray" data-tip="b')


def test_tables_of_many_models_show_the_first(
    board: Boards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heat_table, "MODELS", 2)
    table = overview.difference_table(board())
    assert table is not None
    assert table.rows == ["swift", "svm-rbf"]
    assert table.caption.startswith("The first 2 models. ")
    assert overview.difference_table(board(rows=board().rows[:1])) is None


def test_tables_of_classes_and_of_shared_errors(compared: Analysis) -> None:
    names = [*compared.models]
    by_class = overview.class_table(compared, names)
    f1 = compared.models[names[0]].confusion.f1
    assert [cell.text for cell in by_class.cells[0]] == [f"{100 * share:.0f}" for share in f1]
    overlap = overview.overlap_table(compared, names)
    assert overlap is not None
    assert [overlap.cells[i][i].text for i in range(len(names))] == ["100"] * len(names)
    assert overview.overlap_table(compared, names[:1]) is None
    assert overview.overlap_table(replace(compared, agreement=None), names) is None
