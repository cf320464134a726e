from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fittingroom.bench.comparison.comparison import Comparison, Entry
from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.data.dataset import Dataset
from fittingroom.errors import UnknownNameError
from fittingroom.evaluation.intervals import wilson
from fittingroom.evaluation.seed_spread import SeedVariance
from fittingroom.reporting.words import summary
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store, open_store

Save = Callable[..., Entry]

ROW_KEYS = {
    *("model", "rank", "indistinguishable_from", "seeds", "trained_on", "test", "validation"),
    *("fit_seconds", "predict_us_per_image", "parameters", "engine", "precision"),
    *("status", "reason"),
}
PAIR_KEYS = {
    *("a", "b", "difference", "ci95", "p", "p_adjusted", "p_these_fits", "only_a_right"),
    *("only_b_right", "method", "standard_error", "degrees_of_freedom", "single_seed"),
}


def test_the_table_is_computed_from_saved_runs(store: Store, small: Dataset, save: Save) -> None:
    good = save("good", 3, 0.05)
    near = save("near-good", 1, 0.055, fixed=True)
    bad = save("bad", 3, 0.3)
    Comparison(entries=(bad, near, good), command="fittingroom compare").save(store)
    board = leaderboard(store)

    assert [row.model for row in board.rows] == ["good", "near-good", "bad"]
    assert [row.rank for row in board.rows] == [(1, 2), (1, 2), (3, 3)]
    first = board.rows[0]
    assert first.indistinguishable_from == ("near-good",)
    assert first.test is not None
    assert first.test.accuracy == pytest.approx(0.95)
    assert first.test.accuracy_sd == 0.0
    assert first.test.metrics["log_loss"] == pytest.approx(
        -(0.95 * np.log(0.82) + 0.05 * np.log(0.02)), rel=1e-5
    )
    assert first.fit_seconds == 2.0
    assert board.rows[1].seeds == 1
    assert board.test_reads == 7
    assert len(board.pairs) == 3
    assert board.confusions["good"].counts.sum() == len(small.test)
    assert board.complete


def test_the_json_has_the_documented_shape(
    store: Store, small: Dataset, save: Save, entry: Save
) -> None:
    entries = [
        save("a", 2, 0.1),
        save("bb", 2, 0.2),
        entry("ccc", 2).ended("timeout", "took longer than 5 s"),
    ]
    Comparison(entries=tuple(entries)).save(store)
    text = leaderboard(store).to_json()
    board = json.loads(text)
    assert "NaN" not in text
    assert board["schema_version"] == 2
    assert board["dataset"] == {"name": small.name, "sha256": small.sha256}
    for row in board["rows"]:
        assert set(row) >= ROW_KEYS
    assert set(board["rows"][0]["test"]) == {
        *("accuracy", "accuracy_sd", "ci95", "this_fit_ci95", "macro_f1", "log_loss")
    }
    assert set(board["pairs"][0]) == PAIR_KEYS
    failed = board["rows"][-1]
    assert (failed["model"], failed["status"], failed["test"], failed["rank"]) == (
        *("ccc", "timeout", None, None),
    )


def test_images_are_never_counted_once_per_seed(store: Store, save: Save) -> None:
    """Five fits that agree on every image say no more about other images than one."""
    save("one", 1, 0.1)
    save("five5", 5, 0.1, alike=True)
    tests = {row.model: row.test for row in leaderboard(store).rows}
    one, five = tests["one"], tests["five5"]
    assert one is not None
    assert five is not None
    assert five.ci95 == pytest.approx(one.this_fit_ci95, abs=1e-4)


def test_one_seed_of_an_unknown_recipe_has_no_interval(store: Store, save: Save) -> None:
    save("single", 1, 0.1)
    save("fixed", 1, 0.2, fixed=True)
    (note,) = leaderboard(store).notes
    assert note.startswith("Only one seed for single, and the variation between seeds is ")
    rows = {row.model: row for row in leaderboard(store).rows}
    assert [rows["single"].rank, rows["fixed"].rank] == [(1, 2), (1, 2)]
    assert rows["single"].test is not None
    assert rows["single"].test.ci95 is None
    assert rows["single"].test.this_fit_ci95 == wilson(900, 1000).bounds


def test_one_seed_of_a_measured_recipe_has_a_rank(
    store: Store, monkeypatch: pytest.MonkeyPatch, save: Save
) -> None:
    save("fixed", 1, 0.2, fixed=True)
    single = save("single", 1, 0.1)
    measured = {single.key: SeedVariance(0.002**2, 47, 0.0)}
    monkeypatch.setattr(
        "fittingroom.bench.comparison.recipes.measured_variance",
        lambda key, seeds: measured.get(key),
    )
    board = leaderboard(store)
    assert [row.rank for row in board.rows] == [(1, 1), (2, 2)]
    assert board.notes[0].startswith(
        "Only one seed for single: intervals and ranks rely on how much "
    )
    assert board.pairs[0].single_seed


def test_an_earlier_look_uses_up_some_of_the_five_per_cent(store: Store, save: Save) -> None:
    entries = [save(name, 9, wrong) for name, wrong in (("aaa", 0.1), ("bb", 0.102))]
    first = Comparison(entries=tuple(entries)).looked_at()
    assert first.looks == ({entries[0].key: 9, entries[1].key: 9},)
    assert first.looked_at() is first
    first.save(store)
    once = leaderboard(store)
    dataclasses.replace(first, looks=({e.key: 2 for e in entries}, *first.looks)).save(store)
    twice = leaderboard(store)
    assert once.pairs[0].p is not None
    assert 0 < once.pairs[0].p < 0.9
    assert twice.pairs[0].p == once.pairs[0].p
    assert once.pairs[0].p_adjusted is not None
    assert twice.pairs[0].p_adjusted is not None
    assert once.pairs[0].p_adjusted < twice.pairs[0].p_adjusted
    assert not any("is more conclusive" in note for note in twice.notes)


def test_pairs_that_earlier_looks_leave_undecided_are_named(store: Store, save: Save) -> None:
    note = (
        "Not significant after correcting for earlier tables with other numbers of seeds, each of "
        "which used up some of the 5%: aaa and bb."
    )
    entries = [save(name, 9, wrong) for name, wrong in (("aaa", 0.1), ("bb", 0.114))]
    comparison = Comparison(entries=tuple(entries)).looked_at()
    comparison.save(store)
    assert note not in leaderboard(store).notes
    before = tuple({e.key: seeds for e in entries} for seeds in (2, 3, 5, 7, 8))
    dataclasses.replace(comparison, looks=(*before, *comparison.looks)).save(store)
    assert note in leaderboard(store).notes


def test_a_table_with_fewer_seeds_than_an_earlier_one_says_so(store: Store, save: Save) -> None:
    entries = [save(name, 3, 0.1) for name in ("aaa", "bb")]
    shown = ({entries[0].key: 3, entries[1].key: 3}, {entries[0].key: 7, entries[1].key: 2})
    Comparison(entries=tuple(entries), looks=shown).save(store)
    note = "An earlier table had more seeds and is more conclusive: aaa (3, 7 then)."
    assert note in leaderboard(store).notes


def test_looks_are_unknown_without_a_comparison(store: Store, save: Save) -> None:
    note = "There is no saved comparison, so earlier looks are unknown and not corrected for."
    entries = [save("single", 1, 0.1)]
    assert note not in leaderboard(store).notes
    entries.append(save("several", 3, 0.1))
    assert note in leaderboard(store).notes
    Comparison(entries=tuple(entries)).save(store)
    assert note not in leaderboard(store).notes


def test_an_empty_store_gives_an_empty_table(store: Store) -> None:
    board = leaderboard(store)
    assert board.rows == ()
    assert json.loads(board.to_json())["rows"] == []


@pytest.mark.parametrize("content", ["{", '{"entries": 3}', '{"entries": [], "schema_version": 9}'])
def test_a_damaged_comparison_costs_no_run(store: Store, content: str, save: Save) -> None:
    save("whole", 2, 0.1)
    (store.folder / "comparison.json").write_text(content)
    board = leaderboard(store)
    assert [(row.model, row.status) for row in board.rows] == [("whole", "ok")]
    assert board.notes[0].startswith(f"{store.folder / 'comparison.json'} can't be read: ")
    assert board.notes[0].endswith("So the table holds every saved run.")


@pytest.mark.parametrize("recorded", [True, False])
def test_the_spread_of_added_runs_is_unknown(store: Store, recorded: bool, save: Save) -> None:
    """Whatever the record says: earlier versions called it deterministic."""
    save("theirs", 1, 0.2, fixed=recorded, family="added")
    save("knn", 1, 0.1, fixed=True)
    board = leaderboard(store)
    rows = {row.model: row for row in board.rows}
    assert (rows["theirs (added)"].deterministic, rows["knn"].deterministic) == (False, True)
    assert [note.partition(",")[0] for note in board.notes] == ["Only one seed for theirs (added)"]


def test_added_runs_have_no_seeds_in_the_title(store: Store, save: Save) -> None:
    save("theirs", 1, 0.2, family="added", trained_on=None)
    save("ours", 3, 0.1)
    assert ": 1,000 test images, 3 seeds; " in leaderboard(store).title


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_test_images_make_a_table(
    tmp_path: Path, some_of: Callable[..., Dataset], n: int
) -> None:
    data = some_of({0: 20, 1: 20}, {0: n})
    store = open_store(tmp_path, data)
    for seed in range(2):
        fit(spec_of(data, "random-forest", seed=seed), data, store, keep_model=False)
    fit(spec_of(data, "knn"), data, store, keep_model=False)
    board = leaderboard(store)
    assert f": {n} test image{'s' * (n > 1)}, 2 seeds; " in board.title
    (pair,) = board.pairs
    assert pair.p == 1.0
    json.loads(board.to_json())


def test_unbalanced_classes_count_alike(tmp_path: Path, some_of: Callable[..., Dataset]) -> None:
    data = some_of({0: 60, 1: 60}, {0: 180, 1: 20})
    store = open_store(tmp_path, data)
    spec = spec_of(data, "knn")
    fitted = fit(spec, data, store, keep_model=False)
    assert fitted.test is not None
    board = leaderboard(store)
    right = [fitted.test.correct[data.test.labels == label].mean() for label in (0, 1)]
    scores = board["knn"].test
    assert scores is not None
    assert scores.balanced_accuracy == pytest.approx(np.mean(right))
    assert scores.headline == scores.balanced_accuracy
    assert scores.accuracy == pytest.approx(fitted.test.correct.mean())
    assert scores.ci95 is not None
    assert scores.ci95[0] < scores.headline < scores.ci95[1]
    assert board.figure == "balanced accuracy"
    assert "balanced acc." in board.text()
    assert any("ranked by balanced accuracy" in note for note in board.notes)
    plain = json.loads(board.to_json())["rows"][0]["test"]
    assert (plain["balanced_accuracy"], plain["accuracy"]) == (
        *(scores.balanced_accuracy, scores.accuracy),
    )
    assert board.to_frame()["test_balanced_accuracy"].iloc[0] == scores.balanced_accuracy
    assert summary(board).startswith("knn reaches a balanced accuracy of ")


def test_balanced_classes_are_ranked_by_accuracy(store: Store, save: Save) -> None:
    save("good", 2, 0.1)
    board = leaderboard(store)
    assert board.figure == "accuracy"
    assert not any("balanced" in note for note in board.notes)
    assert "balanced" not in board.to_json() + board.text(wide=True)


def test_a_board_is_a_sequence_of_rows_and_prints_as_a_table(store: Store, save: Save) -> None:
    save("good", 2, 0.1)
    save("bad", 2, 0.3)
    board = leaderboard(store)
    assert len(board) == 2
    assert [row.model for row in board] == ["good", "bad"]
    assert board["bad"] is board.rows[1]
    with pytest.raises(UnknownNameError, match="unknown row 'goood'; did you mean good"):
        board["goood"]
    assert str(board).startswith(f"{board.title}\n\nrank  model")
    assert max(map(len, str(board).split("\n\n")[1].splitlines())) <= 80
    pairs = board.pairs_frame()
    assert pairs["difference"].abs().tolist() == pytest.approx([0.2])


def test_a_row_that_failed_says_why_below_the_table(store: Store) -> None:
    entry = Entry(
        label="swift",
        model="swift",
        key="0" * 12,
        seeds=(0,),
        deterministic=False,
        trained_on=None,
    )
    failed = entry.ended("timeout", "took longer than 5 s")
    Comparison(entries=(failed,), command=None).save(store)
    table, reason = leaderboard(store).text().split("\n\n")[1:]
    assert table.splitlines()[1].split() == ["-", "swift", "timeout"]
    assert reason == "swift: took longer than 5 s"
