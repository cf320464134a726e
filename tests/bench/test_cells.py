from __future__ import annotations

import pytest
from rich.cells import cell_len

from fittingroom.bench.cells import COLUMNS, NUMBERS, cells, duration, shortened, signed
from fittingroom.bench.comparison.leaderboard import Row, Scores


def test_a_row_has_a_cell_for_every_column() -> None:
    failed = Row(model="swift", status="timeout", reason="took longer than 5 s")
    assert len(cells(failed)) == len(COLUMNS)
    assert "took longer than 5 s" in cells(failed)
    assert set(COLUMNS) >= NUMBERS


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (None, ""),
        (0.0, "0 s"),
        (0.0412, "0.041 s"),
        (0.97, "1 s"),
        (3.14, "3.1 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (95, "1 min 35 s"),
        (3599.7, "1 h"),
        (8100, "2 h 15 min"),
    ],
)
def test_durations(seconds: float | None, says: str) -> None:
    assert duration(seconds) == says


def test_names_are_cut_to_what_a_terminal_shows() -> None:
    assert shortened(["short", "c" * 30], 11) == ["short", "cccccccccc…"]
    wide = "\u9577\u3044\u540d\u524d"  # four signs, two cells each
    assert shortened([wide], 8) == [wide]
    assert shortened([wide], 7) == [f"{wide[:3]}…"]
    assert cell_len(shortened([wide * 9], 22)[0]) <= 22


def test_names_that_begin_alike_stay_different_where_they_are_cut() -> None:
    names = [f"a name as long as this, number {n}" for n in range(3)]
    cut = shortened(names, 22)
    assert len(set(cut)) == 3
    assert all(name.endswith(f"number {n}") for n, name in enumerate(cut))
    assert max(map(cell_len, cut)) <= 22


@pytest.mark.parametrize(
    ("number", "says"),
    [(0.0, "0.0"), (-0.04, "0.0"), (0.04, "0.0"), (-0.05001, "-0.1"), (3, "+3.0")],
)
def test_what_rounds_to_nothing_has_no_sign(number: float, says: str) -> None:
    assert signed(number, 1) == says


def test_a_model_that_no_seed_changes_is_called_deterministic() -> None:
    scores = Scores(
        accuracy=0.9,
        accuracy_sd=None,
        ci95=(0.8, 1.0),
        this_fit_ci95=None,
        macro_f1=0.9,
        log_loss=0.1,
    )
    shown = {
        known: cells(Row(model="a", test=scores, seeds=1, deterministic=known))
        for known in (True, False)
    }
    at = COLUMNS.index("sd")
    assert (shown[True][at], shown[False][at]) == ("deterministic", "?")
