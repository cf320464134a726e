"""places.py: the folders that may hold a named data set already, and where it is put."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data import DATASETS, load_dataset, places
from fittingroom.data.catalog import DatasetRow
from fittingroom.data.places import SEARCH_PATH, Place, SearchPath
from fittingroom.data.sources import find_dataset
from fittingroom.errors import DataError

pytestmark = pytest.mark.usefixtures("lonely")


def test_every_place_is_searched_for_every_row(lonely: Path) -> None:
    expected = {
        "fashion-mnist": {
            lonely / ".cache" / "fittingroom" / "fashion-mnist",
            lonely / ".keras" / "datasets" / "fashion-mnist",
            Path("data/FashionMNIST/raw"),
            Path("/usr/share/datasets/fashion-mnist"),
        },
        "mnist": {lonely / ".cache" / "fittingroom" / "mnist", Path("data/MNIST/raw")},
    }
    for name, folders in expected.items():
        row = DATASETS[name]
        assert {f for place in SEARCH_PATH.places for f in place.folders(row)} == folders
    assert [fetch.__name__ for fetch in SEARCH_PATH.fetchers] == ["fetch_by_https", "fetch_by_apt"]


def test_downloads_go_where_the_variable_says(
    lonely: Path, row: DatasetRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SEARCH_PATH.target(row) == lonely / ".cache" / "fittingroom" / "fashion-mnist"
    monkeypatch.setenv("FITTINGROOM_DATA", str(lonely))
    assert SEARCH_PATH.target(row) == lonely / "fashion-mnist"
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    assert SEARCH_PATH.target(row) == lonely / ".cache" / "fittingroom" / "fashion-mnist"


def test_what_is_attached_to_a_notebook_at_kaggle(
    small: Path, row: DatasetRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of CSV files among others, known by its content."""
    known = load_dataset(small)
    row = replace(row, content=known.sha256)
    attached = tmp_path / "input" / "fashionmnist"
    attached.mkdir(parents=True)
    (tmp_path / "input" / "another").mkdir()
    (tmp_path / "input" / "another" / "train.csv").write_text("1,2\n")
    for split in ("train", "test"):
        part = getattr(known, split)
        table = np.column_stack([part.labels, part.images.reshape(len(part), -1)])
        np.savetxt(attached / f"fashion-mnist_{split}.csv", table, fmt="%d", delimiter=",")
    (attached / "labels.txt").write_text("\n".join(known.class_names))
    monkeypatch.setattr(places, "KAGGLE_INPUT", tmp_path / "input")
    place = Place("Kaggle's input", places._kaggle_folders, of_any_form=True)
    search = SearchPath((place,), (), lambda _: tmp_path / "none")
    found = find_dataset(row, search)
    assert found.sha256 == known.sha256
    assert found.source.startswith("Kaggle's input, ")
    with pytest.raises(DataError, match="is in none of the known places"):
        find_dataset(replace(row, content="0" * 64), search)


def test_snapshots_of_hugging_faces_hub(
    row: DatasetRow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "hub" / "datasets--zalando-datasets--fashion_mnist" / "snapshots" / "01"
    snapshot.mkdir(parents=True)
    (snapshot / "train.parquet").write_bytes(b"x")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert places._huggingface_folders(row) == [snapshot]
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert places._huggingface_folders(row) == []


def test_a_folder_of_many_files_is_not_read_to_see_what_it_is(
    tmp_path: Path, row: DatasetRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(places.FEW_FILES + 1):
        (tmp_path / "pictures" / "cat").mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / "cat" / f"{n}.png").write_bytes(b"x")
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "a.csv").write_text("1")
    monkeypatch.setattr(places, "KAGGLE_INPUT", tmp_path)
    assert places._kaggle_folders(row) == [tmp_path / "few"]
