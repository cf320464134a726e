from __future__ import annotations

from fittingroom.bench.comparison.cells import COLUMNS, NUMBERS, cells
from fittingroom.bench.comparison.rows import Row, Scores


def test_a_row_has_a_cell_for_every_column() -> None:
    failed = Row(model="swift", status="timeout", reason="took longer than 5 s")
    assert len(cells(failed)) == len(COLUMNS)
    assert "took longer than 5 s" in cells(failed)
    assert set(COLUMNS) >= NUMBERS


def test_a_deterministic_model_is_labelled_so() -> None:
    scores = Scores(
        accuracy=0.9,
        accuracy_sd=None,
        ci95=(0.8, 1.0),
        this_fit_ci95=None,
        metrics={"macro_f1": 0.9, "log_loss": 0.1},
    )
    shown = {
        known: cells(Row(model="a", test=scores, seeds=1, deterministic=known))
        for known in (True, False)
    }
    at = COLUMNS.index("sd")
    assert (shown[True][at], shown[False][at]) == ("deterministic", "?")
