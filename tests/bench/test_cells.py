from __future__ import annotations

import pytest

from fittingroom.bench.cells import COLUMNS, NUMBERS, cells, duration
from fittingroom.bench.leaderboard import Row


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
