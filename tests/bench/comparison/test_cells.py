from __future__ import annotations

import dataclasses

import pytest

from fittingroom.bench.comparison.cells import interval, narrow_cells, rank, wide_cells
from fittingroom.bench.comparison.rows import Row, Scores


def scores(accuracy: float, balanced: float | None = None) -> Scores:
    return Scores(
        accuracy=accuracy,
        balanced_accuracy=balanced,
        accuracy_sd=None,
        ci95=(0.8, 1.0),
        this_fit_ci95=None,
        metrics={"macro_f1": 0.9, "log_loss": 0.1},
    )


def test_a_row_has_a_cell_for_every_column() -> None:
    failed = Row(model="swift", status="timeout", reason="took longer than 5 s")
    for made in (wide_cells, narrow_cells):
        columns, (line,), numbers = made([failed])
        assert len(line) == len(columns)
        assert (line[1], line[columns.index("test accuracy")]) == ("swift", "timeout")
        assert numbers < set(columns)
    assert "took longer than 5 s" in wide_cells([failed]).lines[0]


@pytest.mark.parametrize(("known", "text"), [(True, "deterministic"), (False, "?")])
def test_a_deterministic_model_is_labelled_so(known: bool, text: str) -> None:
    columns, (line,), _ = wide_cells([Row(model="a", test=scores(0.9), deterministic=known)])
    assert line[columns.index("sd")] == text


def test_the_accuracy_stands_beside_a_balanced_one() -> None:
    rows = [Row(model="a", test=scores(0.9, 0.75), validation=scores(0.8, 0.7))]
    columns, (line,), numbers = wide_cells(rows)
    told = dict(zip(columns, line, strict=True))
    assert (told["balanced acc."], told["accuracy"], told["validation"]) == (
        *("0.7500", "0.9000", "0.7000"),
    )
    assert numbers >= {"balanced acc.", "accuracy"}
    assert "test accuracy" not in columns
    assert "accuracy" not in narrow_cells(rows).columns
    columns, (line,), _ = wide_cells([Row(model="a", test=scores(0.9))])
    assert line[columns.index("test accuracy")] == "0.9000"
    assert "accuracy" not in columns


def test_ranks_and_intervals() -> None:
    assert [rank(Row(model="a", rank=ranks)) for ranks in (None, (1, 1), (2, 4))] == [
        "-",
        "1",
        "2-4",
    ]
    known = scores(0.9)
    assert interval(known) == "0.8000-1.0000"
    assert interval(dataclasses.replace(known, ci95=None)) == "unknown"
    assert interval(None) == ""
