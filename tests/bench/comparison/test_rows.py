"""rows.py: what a row says in JSON, and which figure ranks it."""

from __future__ import annotations

import dataclasses

from fittingroom.bench.comparison.rows import Row, Scores

PLAIN = Scores(
    accuracy=0.9,
    accuracy_sd=0.01,
    ci95=(0.88, 0.92),
    this_fit_ci95=None,
    metrics={"macro_f1": 0.8, "log_loss": 0.3},
)
BALANCED = dataclasses.replace(PLAIN, balanced_accuracy=0.7)


def test_a_balanced_accuracy_is_the_headline() -> None:
    assert (PLAIN.headline, BALANCED.headline) == (0.9, 0.7)
    assert Row(model="a", test=BALANCED).balanced
    assert Row(model="a", validation=BALANCED).balanced
    assert not Row(model="a", test=PLAIN, validation=PLAIN).balanced


def test_a_row_in_json_has_its_metrics_beside_its_accuracies() -> None:
    plain = Row(model="a", test=PLAIN, rank=(1, 2)).to_dict()
    assert plain["test"]["macro_f1"] == 0.8
    assert plain["test"]["accuracy"] == 0.9
    assert "balanced_accuracy" not in plain["test"]
    assert plain["validation"] is None
    assert Row(model="a", test=BALANCED).to_dict()["test"]["balanced_accuracy"] == 0.7


def test_a_row_that_failed_has_no_scores() -> None:
    failed = Row(model="a", status="timeout", reason="took longer than 5 s")
    assert failed.scores == []
    assert failed.to_dict()["reason"] == "took longer than 5 s"
