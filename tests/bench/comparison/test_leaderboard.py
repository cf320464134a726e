from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.comparison.analysis import analyse
from fittingroom.bench.comparison.comparison import Comparison, Entry
from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.data.dataset import Dataset
from fittingroom.evaluation.intervals import wilson
from fittingroom.evaluation.seed_spread import SeedVariance
from fittingroom.reporting.comparison_page import render_comparison
from fittingroom.runs.fit import fit
from fittingroom.runs.run import Part, Run, RunRecord
from fittingroom.runs.spec import RunSpec, spec_of
from fittingroom.runs.store import Store, find_store, open_store

ROW_KEYS = {
    *("model", "rank", "indistinguishable_from", "seeds", "trained_on", "test", "validation"),
    *("fit_seconds", "predict_us_per_image", "parameters", "engine", "precision"),
    *("status", "reason"),
}
PAIR_KEYS = {
    *("a", "b", "difference", "ci95", "p", "p_adjusted", "p_these_fits", "only_a_right"),
    *("only_b_right", "method", "standard_error", "degrees_of_freedom", "single_seed"),
}


def entry(store: Store, model: str, seeds: int, *, fixed: bool = False) -> Entry:
    spec = RunSpec(dataset=store.card.sha256, model=model, parameters={})
    return Entry.of(
        spec, label=model, seeds=tuple(range(seeds)), deterministic=fixed, trained_on=1800
    )


def save(
    store: Store,
    small: Dataset,
    entry: Entry,
    wrong: float,
    *,
    alike: bool = False,
    settings: Mapping[str, Any] | None = None,
    labels: np.ndarray | None = None,
    **changes: object,
) -> Entry:
    """Save runs with a share `wrong` of the test images wrong, different ones per seed or the same.

    Their labels are `labels`, if given, else those of the data set.
    """
    judges = small.test.labels if labels is None else labels
    for seed in entry.seeds:
        random = np.random.default_rng([0 if alike else seed, len(entry.model)])
        predicted = small.test.labels.copy()
        missed = random.permutation(len(predicted))[: round(wrong * len(predicted))]
        predicted[missed] = (predicted[missed] + 1) % 10
        probabilities = np.full((len(predicted), 10), 0.02, np.float32)
        probabilities[np.arange(len(predicted)), predicted] = 0.82
        record = RunRecord(
            spec=RunSpec(
                dataset=store.card.sha256,
                model=entry.model,
                parameters={},
                settings=settings or {},
                seed=seed,
            ),
            family="classical",
            deterministic=entry.deterministic,
            trained_on=1800,
            fit_seconds=1.0 + seed,
            predict_us_per_image=3.0,
            environment={"torch": "2.13.0"},
        )
        part = Part(np.arange(len(judges)), probabilities, judges)
        store.save(dataclasses.replace(record, **changes), {"validation": part, "test": part})  # type: ignore[arg-type]
    return entry.ended("ok")


def test_the_table_is_computed_from_saved_runs(store: Store, small: Dataset) -> None:
    good = save(store, small, entry(store, "good", 3), 0.05)
    near = save(store, small, entry(store, "near-good", 1, fixed=True), 0.055)
    bad = save(store, small, entry(store, "bad", 3), 0.3)
    Comparison(entries=(bad, near, good), command="fittingroom compare").save(store)
    board = leaderboard(store)

    assert [row.model for row in board.rows] == ["good", "near-good", "bad"]
    assert [row.rank for row in board.rows] == [(1, 2), (1, 2), (3, 3)]
    first = board.rows[0]
    assert first.indistinguishable_from == ("near-good",)
    assert first.test is not None
    assert first.test.accuracy == pytest.approx(0.95)
    assert first.test.accuracy_sd == 0.0
    assert first.test.log_loss == pytest.approx(
        -(0.95 * np.log(0.82) + 0.05 * np.log(0.02)), rel=1e-5
    )
    assert first.fit_seconds == 2.0
    assert board.rows[1].seeds == 1
    assert board.test_reads == 7
    assert len(board.pairs) == 3
    assert board.confusions["good"].counts.sum() == len(small.test)
    assert board.complete


def test_the_json_has_the_documented_shape(store: Store, small: Dataset) -> None:
    entries = [
        save(store, small, entry(store, "a", 2), 0.1),
        save(store, small, entry(store, "bb", 2), 0.2),
        entry(store, "ccc", 2).ended("timeout", "took longer than 5 s"),
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


def test_images_are_never_counted_once_per_seed(store: Store, small: Dataset) -> None:
    """Five fits that agree on every image say no more about other images than one."""
    save(store, small, entry(store, "one", 1), 0.1)
    save(store, small, entry(store, "five5", 5), 0.1, alike=True)
    tests = {row.model: row.test for row in leaderboard(store).rows}
    one, five = tests["one"], tests["five5"]
    assert one is not None
    assert five is not None
    assert five.ci95 == pytest.approx(one.this_fit_ci95, abs=1e-4)


def test_one_seed_of_an_unknown_recipe_has_no_interval(store: Store, small: Dataset) -> None:
    save(store, small, entry(store, "single", 1), 0.1)
    save(store, small, entry(store, "fixed", 1, fixed=True), 0.2)
    (note,) = leaderboard(store).notes
    assert note.startswith("Only one seed for single, and the variation between seeds is ")
    rows = {row.model: row for row in leaderboard(store).rows}
    assert [rows["single"].rank, rows["fixed"].rank] == [(1, 2), (1, 2)]
    assert rows["single"].test is not None
    assert rows["single"].test.ci95 is None
    assert rows["single"].test.this_fit_ci95 == wilson(900, 1000).bounds


def test_one_seed_of_a_measured_recipe_has_a_rank(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, small, entry(store, "fixed", 1, fixed=True), 0.2)
    single = save(store, small, entry(store, "single", 1), 0.1)
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


def test_an_earlier_look_uses_up_some_of_the_five_per_cent(store: Store, small: Dataset) -> None:
    entries = [
        save(store, small, entry(store, name, 9), wrong)
        for name, wrong in (("aaa", 0.1), ("bb", 0.102))
    ]
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


def test_pairs_that_earlier_looks_leave_undecided_are_named(store: Store, small: Dataset) -> None:
    note = (
        "Not significant, because tables with other numbers of seeds were shown before, and every "
        "look uses up some of the 5%: aaa and bb."
    )
    entries = [
        save(store, small, entry(store, name, 9), wrong)
        for name, wrong in (("aaa", 0.1), ("bb", 0.114))
    ]
    comparison = Comparison(entries=tuple(entries)).looked_at()
    comparison.save(store)
    assert note not in leaderboard(store).notes
    before = tuple({e.key: seeds for e in entries} for seeds in (2, 3, 5, 7, 8))
    dataclasses.replace(comparison, looks=(*before, *comparison.looks)).save(store)
    assert note in leaderboard(store).notes


def test_a_table_with_fewer_seeds_than_an_earlier_one_says_so(store: Store, small: Dataset) -> None:
    entries = [save(store, small, entry(store, name, 3), 0.1) for name in ("aaa", "bb")]
    shown = ({entries[0].key: 3, entries[1].key: 3}, {entries[0].key: 7, entries[1].key: 2})
    Comparison(entries=tuple(entries), looks=shown).save(store)
    note = "An earlier table had more seeds and is more conclusive: aaa (3, 7 then)."
    assert note in leaderboard(store).notes


def test_looks_are_unknown_without_a_comparison(store: Store, small: Dataset) -> None:
    note = "There is no saved comparison, so earlier looks are unknown and not corrected for."
    entries = [save(store, small, entry(store, "single", 1), 0.1)]
    assert note not in leaderboard(store).notes
    entries.append(save(store, small, entry(store, "several", 3), 0.1))
    assert note in leaderboard(store).notes
    Comparison(entries=tuple(entries)).save(store)
    assert note not in leaderboard(store).notes


def test_copies_among_the_test_images_count_once(some_of: Any, tmp_path: Path) -> None:
    data = some_of({0: 40, 1: 40}, {0: 50, 1: 50})
    images = np.concatenate([data.test.images] * 2)
    labels = np.concatenate([data.test.labels] * 2)
    doubled = Dataset.from_arrays(
        data.train.images, data.train.labels, images, labels, class_names=data.class_names
    )
    store = open_store(tmp_path, doubled)
    copies = store.card.copies
    assert copies is not None
    np.testing.assert_array_equal(copies, np.tile(np.arange(100), 2))
    assert leaderboard(store).notes[0] == (
        "200 of 200 test images are exact copies of one another; in intervals and tests they count "
        "as 100."
    )
    assert open_store(tmp_path / "other", data).card.copies is None


def test_mixed_circumstances_are_noted(store: Store, small: Dataset) -> None:
    save(store, small, entry(store, "a", 2), 0.1, precision="bfloat16")
    save(
        *(store, small, entry(store, "bb", 2), 0.2),
        precision="float32",
        environment={"torch": "2.12.0"},
    )
    notes = " ".join(leaderboard(store).notes)
    assert "different precisions: bfloat16, float32" in notes
    assert "different torch: 2.12.0, 2.13.0" in notes


def test_test_labels_in_another_numbering_are_noted(tmp_path: Path, small: Dataset) -> None:
    store = open_store(tmp_path / "other", _one_too_high(small))
    save(store, small, entry(store, "one", 2), 0.1, labels=_one_too_high(small).test.labels)
    save(store, small, entry(store, "second", 2), 0.3, labels=_one_too_high(small).test.labels)
    board = leaderboard(store)
    assert "'Trouser' is predicted as 'T-shirt/top', 'Pullover' is" in board.notes[-1]
    assert "one too high; with that numbering, accuracy would be 90.3% instead" in board.notes[-1]


def test_added_predictions_do_not_judge_the_labels(store: Store, small: Dataset) -> None:
    save(store, small, entry(store, "ours", 2), 0.1)
    save(
        store,
        _one_too_high(small),
        entry(store, "theirs", 1),
        0.1,
        family="added",
        labels=small.test.labels,
    )
    board = leaderboard(store)
    assert {row.status for row in board.rows} == {"ok"}
    assert not any("contradicted" in note for note in board.notes)


def _one_too_high(small: Dataset) -> Dataset:
    """The same images, with each test label one too high."""
    return Dataset.from_arrays(
        small.train.images,
        small.train.labels,
        small.test.images,
        (small.test.labels + 1) % 10,
        class_names=small.class_names,
    )


def test_a_missing_run_is_a_row_that_says_so(store: Store, small: Dataset) -> None:
    whole = save(store, small, entry(store, "whole", 2), 0.1)
    lost = save(store, small, entry(store, "lost", 2), 0.1)
    Comparison(entries=(whole, lost)).save(store)
    run = store.get("lost", lost.key, 1)
    assert run is not None
    for file in run.folder.iterdir():
        file.unlink()
    run.folder.rmdir()
    rows = {row.model: row for row in leaderboard(store).rows}
    assert rows["lost"].status == "interrupted"
    assert rows["lost"].test is None
    assert rows["whole"].status == "ok"


def test_a_saved_run_without_probabilities_is_a_row_that_says_so(
    store: Store, small: Dataset
) -> None:
    """Earlier versions saved whatever an estimator predicted; one such run broke every report."""
    whole = save(store, small, entry(store, "whole", 2), 0.1)
    wrong = save(store, small, entry(store, "wrong", 2), 0.1)
    run = store.get("wrong", wrong.key, 1)
    assert run is not None
    with np.load(run.folder / "predictions.npz") as saved:
        arrays = dict(saved)
    arrays["test_probabilities"][7] *= 2
    np.savez(run.folder / "predictions.npz", **arrays)
    without_hashes = dataclasses.replace(run.record, files=None)
    (run.folder / "run.json").write_text(without_hashes.to_json())

    for comparison in (None, Comparison(entries=(whole, wrong))):
        if comparison is not None:
            comparison.save(store)
        analysis = analyse(store, small)
        rows = {row.model: row for row in analysis.board.rows}
        assert rows["whole"].rank == (1, 1)
        assert rows["wrong"].status == "unreadable"
        assert rows["wrong"].reason == (
            f"{run.folder}: the probabilities of image 7 sum to 2, not to 1."
        )
        assert [*analysis.models] == ["whole"]
        assert render_comparison(analysis, small)


def test_added_runs_join_every_table(store: Store, small: Dataset) -> None:
    ours = save(store, small, entry(store, "ours", 1), 0.1)
    save(store, small, entry(store, "fitted-once", 1), 0.1)
    save(store, small, entry(store, "theirs", 1, fixed=True), 0.2, family="added")
    Comparison(entries=(ours,)).save(store)
    assert {row.model for row in leaderboard(store).rows} == {"ours", "theirs (added)"}


def test_an_added_run_does_not_replace_a_fitted_model(store: Store, small: Dataset) -> None:
    spec = RunSpec(
        *(),
        dataset=small.sha256,
        model="one",
        parameters={"predictions": "others"},
        seed=0,
    )
    added = entry(store, "one", 1, fixed=True)
    save(store, small, added, 0.3, family="added", spec=spec)
    Comparison(entries=(save(store, small, entry(store, "one", 1), 0.1),)).save(store)
    rows = {row.model: row.test for row in leaderboard(store).rows}
    assert {model: test and test.accuracy for model, test in rows.items()} == {
        "one": pytest.approx(0.9),
        "one (added)": pytest.approx(0.7),
    }


def test_runs_of_one_model_get_distinct_labels(store: Store, small: Dataset) -> None:
    save(store, small, entry(store, "a", 1), 0.1)
    other = RunSpec(
        *(),
        dataset=small.sha256,
        model="a",
        parameters={"epochs": 3},
        full=True,
        reads_test=True,
        seed=0,
    )
    save(store, small, entry(store, "a", 1), 0.2, spec=other)
    names = sorted(row.model for row in leaderboard(store).rows)
    assert len(set(names)) == 2
    assert "(full, " in names[0]


def test_an_empty_store_gives_an_empty_table(store: Store) -> None:
    board = leaderboard(store)
    assert board.rows == ()
    assert json.loads(board.to_json())["rows"] == []


@pytest.mark.parametrize("content", ["{", '{"entries": 3}', '{"entries": [], "schema_version": 9}'])
def test_a_damaged_comparison_costs_no_run(store: Store, small: Dataset, content: str) -> None:
    save(store, small, entry(store, "whole", 2), 0.1)
    (store.folder / "comparison.json").write_text(content)
    board = leaderboard(store)
    assert [(row.model, row.status) for row in board.rows] == [("whole", "ok")]
    assert board.notes[0].startswith(f"{store.folder / 'comparison.json'} can't be read: ")
    assert board.notes[0].endswith("So the table holds every saved run.")


@pytest.mark.parametrize("recorded", [True, False])
def test_the_spread_of_added_runs_is_unknown(store: Store, small: Dataset, recorded: bool) -> None:
    """Whatever the record says: earlier versions called it deterministic."""
    save(store, small, entry(store, "theirs", 1, fixed=recorded), 0.2, family="added")
    save(store, small, entry(store, "knn", 1, fixed=True), 0.1)
    board = leaderboard(store)
    rows = {row.model: row for row in board.rows}
    assert (rows["theirs (added)"].deterministic, rows["knn"].deterministic) == (False, True)
    assert [note.partition(",")[0] for note in board.notes] == ["Only one seed for theirs (added)"]


def test_added_runs_have_no_seeds_in_the_title(store: Store, small: Dataset) -> None:
    save(store, small, entry(store, "theirs", 1), 0.2, family="added", trained_on=None)
    save(store, small, entry(store, "ours", 3), 0.1)
    assert ": 1,000 test images, 3 seeds; " in leaderboard(store).title


def test_copies_and_classes_without_images_are_noted_without_the_data_too(
    tmp_path: Path, some_of: Callable[..., Dataset], small: Dataset
) -> None:
    few = some_of({0: 20, 1: 20}, {0: 5, 1: 5, 2: 4})
    test = few.test.images.copy()
    test[:3] = few.train.images[7]  # to the pixel
    data = Dataset.from_arrays(
        *(few.train.images, few.train.labels, test, few.test.labels),
        class_names=small.class_names[:4],
        name="leaky",
    )
    store = open_store(tmp_path, data)
    fit(spec_of(data, "knn"), data, store, keep_model=False)
    for opened in (store, find_store(tmp_path)):
        assert leaderboard(opened).notes[:4] == (
            "3 of 14 test images are exact copies of training images; correct predictions of those "
            "say nothing about new images.",
            "3 of 14 test images are exact copies of one another; in intervals and tests they "
            "count as 1.",
            "Classes without training images, which no model can learn: Pullover, Dress.",
            "Classes without test images, which are not evaluated: Dress.",
        )


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


def without_hashes(run: Run, **arrays: np.ndarray) -> None:
    """Turn it into a run of version 0.1, with other arrays."""
    path = run.folder / "predictions.npz"
    with np.load(path) as saved:
        np.savez(path, **{**saved, **arrays})
    record = dataclasses.replace(run.record, files=None, test_labels_sha256=None)
    fields = json.loads(record.to_json())
    for name in ("files", "test_labels_sha256", "sha256"):
        del fields[name]
    (run.folder / "run.json").write_text(json.dumps(fields))


def test_runs_without_hashes_are_read_and_noted(store: Store, small: Dataset) -> None:
    save(store, small, entry(store, "old", 1), 0.1)
    (run,) = store.runs()
    without_hashes(run)
    board = leaderboard(store)
    assert [(row.model, row.status) for row in board.rows] == [("old", "ok")]
    assert any("Saved by version 0.1, without hashes" in note for note in board.notes)


def test_predictions_judged_by_labels_of_their_own_are_not_ranked(
    store: Store, small: Dataset
) -> None:
    save(store, small, entry(store, "cheat", 1), 0.4)
    save(store, small, entry(store, "honest", 1), 0.1)
    run = next(run for run in store.runs() if run.record.spec.model == "cheat")
    assert run.test is not None
    labels = run.test.probabilities.argmax(axis=1)
    without_hashes(run, test_labels=labels)
    rows = {row.model: row for row in leaderboard(store).rows}
    assert rows["honest"].rank == (1, 1)
    assert rows["cheat"].status == "unreadable"
    assert "scores its predictions against other labels" in (rows["cheat"].reason or "")


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"test_labels": np.zeros(999, np.int64)}, "its test part isn't one of ours"),
        ({"test_labels": np.full(1000, 10)}, "a label or a position that doesn't exist"),
        ({"test_index": np.zeros((1000, 1), np.int64)}, "its test part isn't one of ours"),
        ({"test_probabilities": np.zeros((1000, 10), "U3")}, "its test part isn't one of ours"),
        ({"validation_labels": np.zeros(1000)}, "its validation part isn't one of ours"),
        (
            {
                "test_index": np.arange(2),
                "test_labels": np.zeros(2, int),
                "test_probabilities": np.full((2, 10), 0.1),
            },
            "doesn't have predictions of 1,000 test images",
        ),
    ],
)
def test_invalid_parts_cost_their_row(
    store: Store, small: Dataset, arrays: dict[str, np.ndarray], complaint: str
) -> None:
    save(store, small, entry(store, "odd", 1), 0.1)
    save(store, small, entry(store, "whole", 1), 0.1)
    without_hashes(next(r for r in store.runs() if r.record.spec.model == "odd"), **arrays)
    rows = {row.model: row for row in leaderboard(store).rows}
    assert rows["whole"].rank == (1, 1)
    assert rows["odd"].status == "unreadable"
    assert complaint in (rows["odd"].reason or "")


def test_a_run_of_a_newer_version_is_skipped_and_noted(store: Store, small: Dataset) -> None:
    newer = save(store, small, entry(store, "newer", 1), 0.1)
    whole = save(store, small, entry(store, "whole", 1), 0.1)
    run = store.get("newer", newer.key, 0)
    assert run is not None
    fields = json.loads((run.folder / "run.json").read_text())
    fields["schema_version"] = 2
    (run.folder / "run.json").write_text(json.dumps(fields))
    for comparison in (None, Comparison(entries=(whole, newer)), Comparison(entries=(whole,))):
        if comparison is not None:
            comparison.save(store)
        board = leaderboard(store)
        said = [*(row.reason for row in board.rows if row.reason), *board.notes]
        assert sum("a newer version wrote it (schema_version 2)" in text for text in said) == 1
        assert next(row for row in board.rows if row.model == "whole").rank == (1, 1)


def test_a_run_under_another_name_is_not_trusted(store: Store, small: Dataset) -> None:
    good = save(store, small, entry(store, "good", 1), 0.1)
    bad = save(store, small, entry(store, "bad", 1), 0.5)
    folders = {e.model: store.folder / e.model / f"{e.key}-s0" for e in (good, bad)}
    shutil.rmtree(folders["bad"])
    shutil.copytree(folders["good"], folders["bad"])
    rows = leaderboard(store).rows
    assert [row.status for row in rows] == ["ok", "unreadable"]
    assert "holds another run, good/" in (rows[1].reason or "")


def test_a_comparison_cannot_rename_a_run(store: Store, small: Dataset) -> None:
    added = save(store, small, entry(store, "theirs", 1), 0.0, family="added")
    own = save(store, small, entry(store, "mine", 1), 0.1)
    renamed = dataclasses.replace(added, label="cnn-32", deterministic=True, trained_on=60_000)
    Comparison(entries=(renamed, own)).save(store)
    rows = {row.model: row for row in leaderboard(store).rows}
    assert rows["mine"].test
    assert rows["theirs (added)"].test
    assert rows["cnn-32"].status == "unreadable"
    assert "as cnn-32, which isn't its model" in (rows["cnn-32"].reason or "")


def test_a_setting_equal_to_the_default_changes_no_row(store: Store, small: Dataset) -> None:
    """A run that was requested with an explicit default, and is found without it."""
    plain = save(store, small, entry(store, "knn", 2), 0.1, settings={"n_neighbors": 5})
    Comparison(entries=(plain,)).save(store)
    assert [(row.model, row.status) for row in leaderboard(store).rows] == [("knn", "ok")]
    (store.folder / "comparison.json").unlink()
    assert [row.status for row in leaderboard(store).rows] == ["ok"]


def test_seeds_with_different_validation_images_are_not_a_row(store: Store, small: Dataset) -> None:
    save(store, small, entry(store, "odd", 2), 0.1)
    run = store.runs()[1]
    assert run.validation is not None
    arrays = {
        f"validation_{name}": getattr(run.validation, name)[:500]
        for name in ("index", "probabilities", "labels")
    }
    without_hashes(run, **arrays)
    (row,) = leaderboard(store).rows
    assert row.status == "unreadable"
    assert "was validated on other images than" in (row.reason or "")
