from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import kendalltau

from fittingroom import side_by_side
from fittingroom.bench.comparison.leaderboard import Leaderboard
from fittingroom.bench.comparison.rows import Row, Scores
from fittingroom.errors import UsageError


def scores(accuracy: float) -> Scores:
    return Scores(
        accuracy=accuracy,
        accuracy_sd=None,
        ci95=(accuracy - 0.003, accuracy + 0.004),
        this_fit_ci95=None,
        metrics={"macro_f1": accuracy, "log_loss": 0.3},
    )


def board(
    name: str,
    accuracies: Mapping[str, float | None],
    alike: Mapping[str, tuple[str, ...]] | None = None,
    title: str | None = None,
) -> Leaderboard:
    """A leaderboard in which only the models in `alike` can't be told apart."""
    alike = alike or {}
    rows = [
        Row(model=model, status="timeout", reason="took longer than 600 s")
        if accuracy is None
        else Row(
            model=model,
            rank=(rank, rank),
            seeds=1,
            test=scores(accuracy),
            indistinguishable_from=alike.get(model, ()),
        )
        for rank, (model, accuracy) in enumerate(accuracies.items(), 1)
    ]
    return Leaderboard(
        dataset_name=name,
        dataset_title=title or name,
        dataset_sha256=name * 8,
        class_names=("a", "b"),
        n_test=1000,
        test_reads=len(rows),
        rows=tuple(rows),
        pairs=(),
        winner_ci95=None,
        notes=(),
        command=None,
        confusions={},
        environment={},
        folder=Path(),
    )


FIRST = board("coats", {"swift": 0.94, "svm": 0.90, "knn": 0.86, "slow": None})
SECOND = board("digits", {"swift": 0.99, "knn": 0.97, "svm": 0.96, "other": 0.5})


def test_lines_have_the_figures_of_each_leaderboard() -> None:
    result = side_by_side([FIRST, SECOND])
    assert [line.model for line in result.lines] == ["swift", "svm", "knn", "slow", "other"]
    svm = result.lines[1]
    assert [row.rank for row in svm.rows if row] == [(2, 2), (3, 3)]
    (difference,) = svm.differences
    assert difference is not None
    assert difference.error == pytest.approx(-0.06)
    # Each end takes the two distances that lead there, from an accuracy to an end of its own.
    assert difference.ci95 == pytest.approx(
        (-0.06 - (0.003**2 + 0.004**2) ** 0.5, -0.06 + (0.004**2 + 0.003**2) ** 0.5)
    )
    assert [line.differences for line in result.lines[3:]] == [(None,), (None,)]
    slow, other = result.cells[3:]
    assert slow == ["slow", "-", "-", "timeout", "-", "", "", "", ""]
    assert other == ["other", "-", "4", "-", "0.5000", "", "0.5000", "", ""]
    assert all(len(cells) == len(result.columns) for cells in result.cells)


def test_only_significant_differences_change_the_order() -> None:
    (order,) = side_by_side([FIRST, SECOND]).orders
    assert (order.models, order.kept, order.undecided) == (3, 2, 0)
    (swap,) = order.swaps
    assert (swap.better_on_first, swap.better_on_second) == ("svm", "knn")
    assert (swap.lead_on_first, swap.lead_on_second) == pytest.approx((0.04, 0.01))
    assert order.kendall_tau == pytest.approx(kendalltau([3, 2, 1], [3, 1, 2]).statistic)

    alike = {"svm": ("knn",), "knn": ("svm",)}
    second = board("digits", {"swift": 0.99, "knn": 0.97, "svm": 0.96}, alike)
    (order,) = side_by_side([FIRST, second]).orders
    assert (order.kept, order.swaps, order.undecided) == (2, (), 1)


def test_three_data_sets_have_three_pairs_of_orders() -> None:
    third = board("letters", {"svm": 0.8, "knn": 0.8})
    result = side_by_side([FIRST, SECOND, third])
    assert [(order.first, order.second) for order in result.orders] == [
        *(("coats", "digits"), ("coats", "letters"), ("digits", "letters"))
    ]
    assert result.orders[1].kendall_tau is None  # equal accuracies have no order
    assert len(result.lines[0].differences) == 2


def test_data_sets_with_the_same_title_get_distinct_names() -> None:
    boards = [board(name, {"knn": 0.9}, title="data") for name in ("one", "two")]
    assert side_by_side(boards).names == ("data oneoneon", "data twotwotw")


def test_the_json_holds_the_leaderboards_unchanged() -> None:
    fields = json.loads(side_by_side([FIRST, SECOND]).to_json())
    assert fields["schema_version"] == 1
    assert fields["leaderboards"] == [json.loads(b.to_json()) for b in (FIRST, SECOND)]
    svm = fields["models"][1]
    assert [on["error"] for on in svm["on"]] == pytest.approx([0.1, 0.04])
    assert svm["error_differences"][0]["dataset"] == "digits"
    assert fields["models"][3]["error_differences"] == [
        {"dataset": "digits", "error": None, "ci95": None}
    ]
    assert fields["orders"][0]["swaps"][0]["better_on_second"] == "knn"


@pytest.mark.parametrize("boards", [[], [FIRST], [FIRST, SECOND, FIRST]])
def test_fewer_than_two_data_sets_are_rejected(boards: list[Leaderboard]) -> None:
    with pytest.raises(UsageError):
        side_by_side(boards)


def test_a_notebook_escapes_names() -> None:
    html = side_by_side([FIRST, board("<i>", {"<b>": 0.5})])._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<i>" not in html


def test_errors_of_two_kinds_have_no_difference() -> None:
    plain, other = board("a", {"swift": 0.9}), board("b", {"swift": 0.8})
    (row,) = other.rows
    assert row.test is not None
    balanced = replace(row, test=replace(row.test, balanced_accuracy=0.7))
    unbalanced = replace(other, rows=(balanced,))
    both = side_by_side([plain, unbalanced])
    assert both.columns[3:5] == ("a, accuracy", "b, balanced accuracy")
    assert both.cells[0][3:7] == ["0.9000", "0.7000", "0.1000", "0.3000"]
    (line,) = both.lines
    assert line.differences == (None,)
    _, on_b = both.to_dict()["models"][0]["on"]
    assert (on_b["accuracy"], on_b["balanced_accuracy"]) == (0.8, 0.7)
    assert on_b["error"] == pytest.approx(0.3)
