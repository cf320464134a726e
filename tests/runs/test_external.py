from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError, UsageError
from fittingroom.runs.external import add_predictions
from fittingroom.runs.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path, small: Dataset) -> Store:
    return open_store(tmp_path / "runs", small)


def fits(tmp_path: Path, small: Dataset, *wrong: int) -> list[Path]:
    """Files of fits with so many images wrong, each starting with others."""
    paths = []
    for number, count in enumerate(wrong):
        labels = small.test.labels.copy()
        places = np.random.default_rng(number).permutation(len(labels))[:count]
        labels[places] = (labels[places] + 1) % 10
        np.savez(tmp_path / f"seed-{number}.npz", labels=labels)
        paths.append(tmp_path / f"seed-{number}.npz")
    return paths


def test_probabilities_become_a_run(tmp_path: Path, store: Store, small: Dataset) -> None:
    np.savez(tmp_path / "theirs.npz", probabilities=np.eye(10)[small.test.labels])
    (run,) = add_predictions(store, small, "theirs", tmp_path / "theirs.npz")
    assert run.record.family == "added"
    assert run.test is not None
    assert run.test.correct.all()
    assert store.runs()[0].record == run.record


def test_labels_alone_are_enough(tmp_path: Path, store: Store, small: Dataset) -> None:
    (run,) = add_predictions(store, small, "theirs", fits(tmp_path, small, 100))
    assert run.test is not None
    assert run.test.correct.mean() == pytest.approx(0.9)
    # Not a list of one: its key stays what it was before there could be several files.
    assert isinstance(run.record.spec.parameters["predictions"], str)


def test_the_same_predictions_are_found_again_and_others_need_another_name(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    path, other = fits(tmp_path, small, 100, 120)
    (first,) = add_predictions(store, small, "theirs", path)
    assert [run.folder for run in add_predictions(store, small, "theirs", path)] == [first.folder]
    with pytest.raises(UsageError, match="another name"):
        add_predictions(store, small, "theirs", other)


def test_several_files_are_the_seeds_of_one_row(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    runs = add_predictions(store, small, "theirs", fits(tmp_path, small, 100, 120, 140))
    assert [run.record.spec.seed for run in runs] == [0, 1, 2]
    assert len({run.record.spec.key for run in runs}) == 1
    assert len(runs[0].record.spec.parameters["predictions"]) == 3
    (row,) = leaderboard(store).rows
    assert (row.model, row.seeds, row.deterministic) == ("theirs (added)", 3, False)
    assert row.test is not None
    assert row.test.accuracy == pytest.approx(0.88)
    assert row.test.accuracy_sd == pytest.approx(0.02)
    assert row.test.ci95 is not None, "three fits say how far they lie apart"
    again = add_predictions(store, small, "theirs", fits(tmp_path, small, 100, 120, 140))
    assert [run.folder for run in again] == [run.folder for run in runs]


def test_a_deterministic_model_has_an_interval_from_one_fit(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    (path, other) = fits(tmp_path, small, 100, 120)
    add_predictions(store, small, "unknown", path)
    add_predictions(store, small, "known", path, deterministic=True)
    rows = {row.model: row.test for row in leaderboard(store).rows}
    assert rows["unknown (added)"] is not None
    assert rows["unknown (added)"].ci95 is None
    assert rows["known (added)"] is not None
    assert rows["known (added)"].ci95 == rows["unknown (added)"].this_fit_ci95
    with pytest.raises(UsageError, match="a deterministic model has one file"):
        add_predictions(store, small, "both", [path, other], deterministic=True)


def test_the_same_predictions_are_not_two_seeds(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    paths = fits(tmp_path, small, 100, 120)
    with pytest.raises(InputError, match=r"seed-0.npz and .*seed-0.npz hold the same"):
        add_predictions(store, small, "theirs", [*paths, paths[0]])
    assert store.runs() == []


def test_a_name_can_not_be_a_path(tmp_path: Path, store: Store, small: Dataset) -> None:
    with pytest.raises(UsageError, match="can't be named"):
        add_predictions(store, small, "../x", fits(tmp_path, small, 100))


def test_added_runs_are_not_deterministic_unless_said(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    add_predictions(store, small, "theirs", fits(tmp_path, small, 100))
    note, *_ = leaderboard(store).notes
    assert note.startswith("Only one seed for theirs (added), and the variation between seeds ")
    (run,) = store.runs()
    as_recorded_once = replace(run.record, deterministic=True, files=None)
    (run.folder / "run.json").write_text(as_recorded_once.to_json())
    (run,) = store.runs()
    assert not run.record.deterministic
