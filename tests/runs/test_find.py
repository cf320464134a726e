from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError, UnknownNameError
from fittingroom.runs.find import find_model, find_runs, find_saved_model, runs_in
from fittingroom.runs.fit import fit
from fittingroom.runs.run import Run
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store, open_store


@pytest.fixture(scope="module")
def saved(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two seeds of a perceptron, newer ones with other settings, and a model that wasn't kept."""
    store = open_store(tmp_path_factory.mktemp("runs"), small)
    for age, settings in ((2, {"epochs": 2}), (1, {"epochs": 3})):
        for seed in range(2):
            spec = spec_of(small, "mlp-10-10", settings=settings, seed=seed)
            run = fit(spec, small, store)
            saved_at = 1e9 - 1e6 * age
            os.utime(run.folder / "run.json", (saved_at, saved_at))
    fit(spec_of(small, "logistic"), small, store, keep_model=False)
    return store


def best(runs: list[Run]) -> Run:
    def accuracy(run: Run) -> float:
        part = run.validation
        assert part is not None
        return float(part.correct[part.selection].mean())

    return max(runs, key=accuracy)


def test_a_name_means_all_runs_of_a_model(saved: Store) -> None:
    root = saved.folder.parent
    assert len(find_runs("mlp-10-10", root)) == 4
    (first, second) = find_runs("mlp-10-10[epochs=3]", root)
    assert (first.record.spec.seed, second.record.spec.seed) == (0, 1)
    assert [run.folder for run in find_runs(first.record.spec.path, root)] == [first.folder]
    assert [run.folder for run in find_runs(first.record.spec.path, saved.folder)] == [first.folder]


def test_a_path_means_the_runs_in_it(saved: Store, tmp_path: Path) -> None:
    (run,) = find_runs("logistic", saved.folder)
    for folder in (run.folder, run.folder.parent):
        assert [each.folder for each in find_runs(str(folder), tmp_path)] == [run.folder]
    moved = shutil.copytree(run.folder, tmp_path / "moved")
    assert find_runs(str(moved), tmp_path)[0].folder == moved
    assert runs_in(tmp_path / "moved" / "absent") == []


def test_the_newest_recipes_best_seed_is_the_model(saved: Store) -> None:
    newest = find_runs("mlp-10-10[epochs=3]", saved.folder)
    older = find_runs("mlp-10-10[epochs=2]", saved.folder)
    assert find_model("mlp-10-10", saved.folder).folder == best(newest).folder
    assert find_model("mlp-10-10[epochs=2]", saved.folder).folder == best(older).folder


def test_a_seed_is_chosen_by_the_selection_half_alone(saved: Store, tmp_path: Path) -> None:
    """One seed is right on the whole calibration half, the other on some of the selection half."""
    (run, _) = find_runs("mlp-10-10[epochs=3]", saved.folder)
    part = run.validation
    assert part is not None
    assert part.selection is not None
    store = Store(shutil.copytree(saved.folder, tmp_path / "runs"), saved.card)
    shutil.rmtree(store.folder / "mlp-10-10")
    some = part.selection & (np.cumsum(part.selection) <= 20)
    for seed, right in enumerate((~part.selection, some)):
        labels = np.where(right, part.labels, (part.labels + 1) % 10)
        probabilities = np.eye(10, dtype=np.float32)[labels]
        record = replace(run.record, spec=replace(run.record.spec, seed=seed))
        predicted = {"validation": replace(part, probabilities=probabilities)}
        store.save(record, predicted, model=lambda folder: (folder / "manifest.json").touch())
    assert find_model("mlp-10-10[epochs=3]", store.folder).record.spec.seed == 1


def test_the_default_settings_are_meant_where_they_are_saved(
    saved: Store, small: Dataset, tmp_path: Path
) -> None:
    root = shutil.copytree(saved.folder.parent, tmp_path / "runs")
    default = fit(spec_of(small, "mlp-10-10"), small, open_store(root, small))
    os.utime(default.folder / "run.json", (0, 0))
    assert find_model("mlp-10-10", root).folder == default.folder


def test_what_cannot_be_found_is_one_sentence(saved: Store, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="saved model 'logistics'; did you mean logistic"):
        find_runs("logistics", saved.folder)
    for name in ("../x", "*", "mlp-10-10[epochs=4]", "mlp-10-10/0-s0"):
        with pytest.raises(UnknownNameError):
            find_runs(name, saved.folder)
    with pytest.raises(StoreError, match="no saved runs in"):
        find_runs("logistic", tmp_path)
    with pytest.raises(StoreError, match="no model was kept for logistic"):
        find_model("logistic", saved.folder)


def test_a_damaged_run_says_so_when_it_is_named(saved: Store, tmp_path: Path) -> None:
    root = shutil.copytree(saved.folder.parent, tmp_path / "runs")
    (run,) = find_runs("logistic", root)
    (run.folder / "run.json").write_text("{}")
    for name in ("logistic", run.record.spec.path):
        with pytest.raises(StoreError, match=r"run\.json can't be read"):
            find_runs(name, root)
    assert len(find_runs("mlp-10-10", root)) == 4


def test_a_saved_model_is_a_name_or_a_folder(saved: Store, tmp_path: Path) -> None:
    folder, run = find_saved_model("mlp-10-10", saved.folder)
    assert run is not None
    assert folder == find_model("mlp-10-10", saved.folder).folder / "model" == run.folder / "model"
    bundle = shutil.copytree(folder, tmp_path / "bundle")
    assert find_saved_model(str(bundle), saved.folder) == (bundle, None)
    with pytest.raises(StoreError, match=r"knn doesn't exist, and .*no saved runs"):
        find_saved_model("knn", tmp_path / "absent")
