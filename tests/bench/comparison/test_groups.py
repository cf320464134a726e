from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from fittingroom.bench.comparison.analysis import analyse
from fittingroom.bench.comparison.comparison import Comparison, Entry
from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.data.dataset import Dataset
from fittingroom.reporting.comparison_page import render_comparison
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store

Save = Callable[..., Entry]


def test_a_missing_run_is_a_row_that_says_so(store: Store, save: Save) -> None:
    whole = save("whole", 2, 0.1)
    lost = save("lost", 2, 0.1)
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
    store: Store, small: Dataset, save: Save
) -> None:
    """Earlier versions saved whatever an estimator predicted; one such run broke every report."""
    whole = save("whole", 2, 0.1)
    wrong = save("wrong", 2, 0.1)
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


def test_added_runs_join_every_table(store: Store, save: Save) -> None:
    ours = save("ours", 1, 0.1)
    save("fitted-once", 1, 0.1)
    save("theirs", 1, 0.2, fixed=True, family="added")
    Comparison(entries=(ours,)).save(store)
    assert {row.model for row in leaderboard(store).rows} == {"ours", "theirs (added)"}


def test_an_added_run_does_not_replace_a_fitted_model(
    store: Store, small: Dataset, save: Save
) -> None:
    spec = RunSpec(
        *(),
        dataset=small.sha256,
        model="one",
        parameters={"predictions": "others"},
        seed=0,
    )
    save("one", 1, 0.3, fixed=True, family="added", spec=spec)
    Comparison(entries=(save("one", 1, 0.1),)).save(store)
    rows = {row.model: row.test for row in leaderboard(store).rows}
    assert {model: test and test.accuracy for model, test in rows.items()} == {
        "one": pytest.approx(0.9),
        "one (added)": pytest.approx(0.7),
    }


def test_runs_of_one_model_get_distinct_labels(store: Store, small: Dataset, save: Save) -> None:
    save("a", 1, 0.1)
    other = RunSpec(
        *(),
        dataset=small.sha256,
        model="a",
        parameters={"epochs": 3},
        full=True,
        reads_test=True,
        seed=0,
    )
    save("a", 1, 0.2, spec=other)
    names = sorted(row.model for row in leaderboard(store).rows)
    assert len(set(names)) == 2
    assert "(full, " in names[0]


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


def test_runs_without_hashes_are_read_and_noted(store: Store, save: Save) -> None:
    save("old", 1, 0.1)
    (run,) = store.runs()
    without_hashes(run)
    board = leaderboard(store)
    assert [(row.model, row.status) for row in board.rows] == [("old", "ok")]
    assert any("Saved by version 0.1, without hashes" in note for note in board.notes)


def test_predictions_judged_by_labels_of_their_own_are_not_ranked(store: Store, save: Save) -> None:
    save("cheat", 1, 0.4)
    save("honest", 1, 0.1)
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
        ({"test_labels": np.zeros(999, np.int64)}, "its test part has an unexpected type or shape"),
        ({"test_labels": np.full(1000, 10)}, "a label or a position that doesn't exist"),
        (
            {"test_index": np.zeros((1000, 1), np.int64)},
            "its test part has an unexpected type or shape",
        ),
        (
            {"test_probabilities": np.zeros((1000, 10), "U3")},
            "its test part has an unexpected type or shape",
        ),
        (
            {"validation_labels": np.zeros(1000)},
            "its validation part has an unexpected type or shape",
        ),
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
    store: Store, arrays: dict[str, np.ndarray], complaint: str, save: Save
) -> None:
    save("odd", 1, 0.1)
    save("whole", 1, 0.1)
    without_hashes(next(r for r in store.runs() if r.record.spec.model == "odd"), **arrays)
    rows = {row.model: row for row in leaderboard(store).rows}
    assert rows["whole"].rank == (1, 1)
    assert rows["odd"].status == "unreadable"
    assert complaint in (rows["odd"].reason or "")


def test_a_run_of_a_newer_version_is_skipped_and_noted(store: Store, save: Save) -> None:
    newer = save("newer", 1, 0.1)
    whole = save("whole", 1, 0.1)
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


def test_a_run_under_another_name_is_not_trusted(store: Store, save: Save) -> None:
    good = save("good", 1, 0.1)
    bad = save("bad", 1, 0.5)
    folders = {e.model: store.folder / e.model / f"{e.key}-s0" for e in (good, bad)}
    shutil.rmtree(folders["bad"])
    shutil.copytree(folders["good"], folders["bad"])
    rows = leaderboard(store).rows
    assert [row.status for row in rows] == ["ok", "unreadable"]
    assert "holds another run, good/" in (rows[1].reason or "")


def test_a_comparison_cannot_rename_a_run(store: Store, save: Save) -> None:
    added = save("theirs", 1, 0.0, family="added")
    own = save("mine", 1, 0.1)
    renamed = dataclasses.replace(added, label="cnn-32", deterministic=True, trained_on=60_000)
    Comparison(entries=(renamed, own)).save(store)
    rows = {row.model: row for row in leaderboard(store).rows}
    assert rows["mine"].test
    assert rows["theirs (added)"].test
    assert rows["cnn-32"].status == "unreadable"
    assert "as cnn-32, which isn't its model" in (rows["cnn-32"].reason or "")


def test_a_setting_equal_to_the_default_changes_no_row(store: Store, save: Save) -> None:
    """A run that was requested with an explicit default, and is found without it."""
    plain = save("knn", 2, 0.1, settings={"n_neighbors": 5})
    Comparison(entries=(plain,)).save(store)
    assert [(row.model, row.status) for row in leaderboard(store).rows] == [("knn", "ok")]
    (store.folder / "comparison.json").unlink()
    assert [row.status for row in leaderboard(store).rows] == ["ok"]


def test_seeds_with_different_validation_images_are_not_a_row(store: Store, save: Save) -> None:
    save("odd", 2, 0.1)
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
