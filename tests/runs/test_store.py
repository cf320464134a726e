from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError, StoreError, UsageError
from fittingroom.files import replace_file
from fittingroom.runs.run import Part, RunRecord
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store, check_model_name, find_store, open_store


def record(store: Store, model: str = "knn", seed: int = 0) -> RunRecord:
    return RunRecord(
        spec=RunSpec(dataset=store.card.sha256, model=model, parameters={}, seed=seed),
        family="classical",
        deterministic=False,
        trained_on=1,
        environment={},
    )


def part(dataset: Dataset) -> Part:
    labels = dataset.test.labels
    return Part(np.arange(len(labels)), np.eye(10, dtype=np.float32)[labels], labels)


def test_a_run_is_found_again_as_it_was(tmp_path: Path, small: Dataset) -> None:
    store = open_store(tmp_path, small)
    assert store.find(record(store).spec) is None

    def model(folder: Path) -> None:
        (folder / "weights").write_bytes(bytes(1000))

    store.save(record(store), {"test": part(small)}, history="epoch\n1\n", model=model)
    run = open_store(tmp_path, small).find(record(store).spec)
    assert run is not None
    assert run.folder.parent.parent.name == f"{small.slug}-{small.sha256[:8]}"
    assert run.record.model_bytes == 1000
    assert run.validation is None
    assert run.test is not None
    assert run.test.correct.all()
    assert run.test.probabilities.dtype == np.float32
    assert (run.folder / "history.csv").read_text() == "epoch\n1\n"


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path: Path, small: Dataset) -> None:
    store = open_store(tmp_path, small)
    before = sorted(store.folder.rglob("*"))

    def full_disk(folder: Path) -> None:
        (folder / "weights").write_bytes(bytes(1000))
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="no space left on device"):
        store.save(record(store), {"test": part(small)}, model=full_disk)
    assert sorted(store.folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["validation", "test", "out_of_fold", "measured"])
def test_probabilities_that_are_not_a_distribution_are_never_saved(
    tmp_path: Path, small: Dataset, name: str
) -> None:
    store = open_store(tmp_path, small)
    wrong = part(small)
    wrong.probabilities[7] *= 1.01
    parts = {"test": part(small), name: wrong}
    with pytest.raises(InputError, match=r"of image 7 sum to 1\.01, not to 1\."):
        store.save(record(store), parts)
    with pytest.raises(InputError, match="of image 7 sum to"):
        store.save_fold(record(store).spec, 0, wrong)
    assert store.runs() == []
    assert store.read_fold(record(store).spec, 0) is None
    wrong.probabilities[7] /= 1.0095  # as float16 may leave it
    assert store.save(record(store), parts | {name: part(small)})


def test_the_first_of_two_equal_runs_is_kept(tmp_path: Path, small: Dataset) -> None:
    store = open_store(tmp_path, small)
    first = store.save(record(store), {"test": part(small)}, history="first")
    second = store.save(record(store), {"test": part(small)}, history="second")
    assert (second.folder / "history.csv").read_text() == "first"
    assert first.folder == second.folder


def test_dropping_a_model_removes_nothing_else(tmp_path: Path, small: Dataset) -> None:
    store = open_store(tmp_path, small)

    def save_model(folder: Path) -> None:
        replace_file(folder / "weights", "w")

    run = store.save(record(store), {"test": part(small)}, model=save_model)
    store.drop_model(run)
    store.drop_model(run)  # nothing left to drop is no error
    assert sorted(file.name for file in run.folder.iterdir()) == ["predictions.npz", "run.json"]


def test_a_store_is_found_by_its_folder_or_its_root(tmp_path: Path, small: Dataset) -> None:
    store = open_store(tmp_path / "runs", small)
    assert find_store(tmp_path / "runs") == store
    assert find_store(store.folder) == store


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no saved runs"):
        find_store(tmp_path)
    with pytest.raises(StoreError, match="no saved runs"):
        find_store(tmp_path / "absent")


def test_several_data_sets_are_ambiguous(tmp_path: Path, small: Dataset) -> None:
    open_store(tmp_path, small)
    other = Dataset.from_arrays(
        small.train.images, small.train.labels, small.test.images, small.test.labels, name="other"
    )
    open_store(tmp_path, other)
    with pytest.raises(StoreError, match="several data sets"):
        find_store(tmp_path)


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", "a b", "x" * 65, "-x", "a\nb"])
def test_names_unfit_for_folders_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="can't be named"):
        check_model_name(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused_in_one_sentence(tmp_path: Path, small: Dataset) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="can't be written: permission denied"):
        open_store(tmp_path / "runs", small)


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path, small: Dataset) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(StoreError, match="can't be written"):
        open_store(tmp_path / "runs", small)


def test_runs_go_with_the_content_of_the_data(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    renamed = replace(small, name="another name")
    assert open_store(tmp_path, renamed).folder == store.folder
    assert find_store(tmp_path).card.name == "another name"
    assert open_store(tmp_path / "new", renamed).folder.name.startswith("another-name-")


@pytest.mark.parametrize(
    "name",
    [
        *("a\n", "con", "CON", "nul.txt", "com1", "lpt9.x", "report.html", "dataset.json", "x."),
        *("tune.db", "logistic", "Logistic", "swift-94", "zalando-linear-svc"),
    ],
)
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_model_name(name)


def test_runs_behind_links_out_of_the_store_are_not_read(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path / "runs", small)
    run = store.save(record(store), {"test": part(small)})
    run.folder.parent.rename(tmp_path / "elsewhere")
    (store.folder / "knn").symlink_to(tmp_path / "elsewhere")
    assert store.runs() == []
    (unreadable,) = store.saved().unreadable
    assert "links to something outside" in unreadable.reason


def test_names_of_version_0_1_are_read(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    store.save(record(store, "v1."), {"test": part(small)})
    assert [run.record.spec.model for run in store.runs()] == ["v1."]
