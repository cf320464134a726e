from __future__ import annotations

from pathlib import Path

import pytest

from fittingroom.bench.comparison.comparison import Comparison
from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.bench.comparison.standing import Standing, _ordinal
from fittingroom.runs.store import find_store


def test_a_finished_model_is_placed_among_those_before_it(compared_runs: Path) -> None:
    store = find_store(compared_runs)
    comparison = Comparison.load(store)
    assert comparison is not None
    standing, seen = Standing(store.card.copies), []
    rows = {row.model: row for row in leaderboard(store).rows}
    for entry in comparison.entries:
        runs = [run for run in store.runs(entry.model) if run.record.spec.key == entry.key]
        note = standing.add(entry, runs)
        scores = rows[entry.label].test
        assert scores is not None
        seen.append(scores.accuracy)
        assert note.startswith(f"test accuracy {scores.accuracy:.4f} (0.")
        place = sorted(seen, reverse=True).index(scores.accuracy) + 1
        assert len(seen) == 1 or note.endswith(f", {_ordinal(place)} of {len(seen)} so far")
    # The last one is told the interval of the table, but for the rows that were added.
    assert standing.add(entry, runs) == note


@pytest.mark.parametrize(
    ("n", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (22, "22nd")],
)
def test_ordinals(n: int, text: str) -> None:
    assert _ordinal(n) == text


def test_a_model_that_was_not_tested_has_no_standing(compared_runs: Path) -> None:
    store = find_store(compared_runs)
    comparison = Comparison.load(store)
    assert comparison is not None
    folds = [run for run in store.runs("logistic") if run.test is None]
    assert Standing(None).add(comparison.entries[0], folds) == ""
