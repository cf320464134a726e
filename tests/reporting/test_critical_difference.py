from __future__ import annotations

from collections.abc import Callable

import pytest

from fittingroom.bench.comparison.leaderboard import Leaderboard
from fittingroom.errors import ReportError
from fittingroom.reporting.alike import groups_alike
from fittingroom.reporting.critical_difference import as_pdf, critical_difference

Boards = Callable[..., Leaderboard]


def test_the_diagram_has_every_model_at_its_accuracy(board: Boards) -> None:
    shown = board()
    tested = [row for row in shown.rows if row.test]
    (axes,) = critical_difference(shown).axes
    written = [text.get_text() for text in axes.texts]
    assert written == [f"{row.model} {100 * row.test.accuracy:.2f}" for row in tested if row.test]
    bars = [line for line in axes.lines if line.get_linewidth() == 4]
    assert len(bars) == len(groups_alike(tested)) > 0
    pdf = as_pdf(critical_difference(shown))
    assert pdf.startswith(b"%PDF")
    assert pdf == as_pdf(critical_difference(shown))


def test_one_model_has_no_diagram(board: Boards) -> None:
    with pytest.raises(ReportError, match="needs two tested models"):
        critical_difference(board(rows=board().rows[:1]))
