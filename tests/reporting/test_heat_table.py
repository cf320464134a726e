from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fittingroom.bench.comparison.leaderboard import Leaderboard
from fittingroom.evaluation.confusion import ConfusionMatrix
from fittingroom.reporting.heat_table import Cell, confusion_cells, difference_cells, share_cells


def test_a_confusion_matrix_shows_shares_of_the_true_class() -> None:
    cells = confusion_cells(ConfusionMatrix(np.array([[8.5, 1.5], [0, 0]])), ["a", "b"])
    (right, wrong), (missing, _) = cells
    assert (right.text, right.color, right.depth) == ("85.0", "blue", 0.85)
    assert (wrong.text, wrong.color, wrong.depth) == ("15.0", "orange", 1.0)
    assert wrong.tip == "a predicted as b: 1.5 of 10"
    assert missing == Cell(), "a class without test images has an empty row"
    cells = confusion_cells(ConfusionMatrix(np.array([[8, 2], [0, 1]])), ["a", "b"], "nearest to")
    assert cells[0][1].tip == "a nearest to b: 2 of 10"


def test_a_share_that_rounds_to_zero_is_a_dot() -> None:
    cells = confusion_cells(ConfusionMatrix(np.array([[9999, 1], [0, 3]])), ["a", "b"])
    assert [cell.text for cell in cells[0]] == ["100.0", "·"]


def test_shares_are_coloured_from_the_smallest_to_the_largest() -> None:
    shares = np.array([[0.2, np.nan], [0.6, 0.4]])
    (low, missing), (high, middle) = share_cells(shares, ["a", "b"], ["x", "y"], "F1")
    assert missing == Cell()
    assert low.depth < middle.depth < high.depth == 1.0
    assert high.tip == "b, x: F1 60.0%"
    nothing = share_cells(np.full((1, 1), np.nan), ["a"], ["a"], "F1")
    assert nothing == [[Cell()]]


def test_only_significant_differences_are_coloured(board: Callable[..., Leaderboard]) -> None:
    names = ["swift", "svm-rbf", "cnn-32"]
    cells = difference_cells(names, board().pairs)
    assert [[cell.text for cell in row] for row in cells] == [
        ["", "+3.9", ""],
        ["−3.9", "", "+0.2"],
        ["", "−0.2", ""],
    ]
    assert [[cell.color for cell in row] for row in cells] == [
        ["", "blue", ""],
        ["orange", "", ""],
        ["", "", ""],
    ]
    assert cells[0][1].tip == (
        "swift minus svm-rbf: +3.91 points, 95% interval +3.41 to +4.41, adjusted p < 0.0001"
    )
    assert difference_cells(["swift"], board().pairs) == [[Cell()]]
