"""card.py: what files beside the images say, and who may bear a catalogue's name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data import idx, load_dataset
from fittingroom.data.card import Card, card_of, free_name
from fittingroom.data.catalog import DATASETS
from fittingroom.errors import DataError
from fittingroom.runs.dataset_card import DatasetCard


def rewrite(folder: Path, name: str, array: np.ndarray) -> None:
    (folder / f"{name}.gz").unlink()
    idx.write_idx(folder / name, array)


def test_labels_that_start_at_one(copy: Path) -> None:
    for name in (idx.TRAIN_LABELS, idx.TEST_LABELS):
        rewrite(copy, name, idx.read_idx(copy / f"{name}.gz", 1) + 1)
    with pytest.raises(DataError, match=r"has the label 10, .* start at 1: subtract 1 from each"):
        load_dataset(copy)


def test_without_labels_txt_the_labels_are_the_classes(copy: Path) -> None:
    (copy / "labels.txt").unlink()
    assert load_dataset(copy).class_names == tuple("0123456789")
    for name in (idx.TRAIN_LABELS, idx.TEST_LABELS):
        rewrite(copy, name, 3 * idx.read_idx(copy / f"{name}.gz", 1) + 1)
    assert load_dataset(copy).class_names == tuple(str(label) for label in range(1, 30, 3))


def test_a_label_outside_the_classes(copy: Path) -> None:
    labels = idx.read_idx(copy / f"{idx.TRAIN_LABELS}.gz", 1).copy()
    labels[77] = 10
    rewrite(copy, idx.TRAIN_LABELS, labels)
    with pytest.raises(
        DataError, match=r"train-labels-idx1-ubyte has the label 10, .* 0 to 9; name"
    ):
        load_dataset(copy)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a\nb\n", "has the label 9, but there are 2 classes"),
        (b"", "labels.txt: a data set needs 2 to 256 classes"),
        (b"a\n" * 10, "labels.txt: the class name 'a' occurs twice"),
        (b"a\n\nb\n", "labels.txt: '' can't be a class name"),
        (b"\xff\xfe\x00", "labels.txt can't be read: it isn't UTF-8 text"),
        (b"x" * 70000, "labels.txt has 70,000 bytes, more than the 65,536"),
    ],
)
def test_a_malformed_labels_file(copy: Path, content: bytes, complaint: str) -> None:
    (copy / "labels.txt").write_bytes(content)
    with pytest.raises(DataError, match=complaint) as refused:
        load_dataset(copy)
    assert str(copy) in str(refused.value)


def test_a_labels_file_from_another_system(copy: Path, small: Path) -> None:
    names = (small / "labels.txt").read_text().split("\n")
    (copy / "labels.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(names).encode() + b"\r\n")
    assert load_dataset(copy).sha256 == load_dataset(small).sha256


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        "null",
        "{}",
        '{"name": 3, "mirror_keeps_class": true, "schema_version": 1}',
        '{"name": "x", "mirror_keeps_class": 1, "schema_version": 1}',
        '{"name": "x", "mirror_keeps_class": true, "schema_version": 2}',
        "[" * 60000,
    ],
)
def test_a_malformed_card(copy: Path, content: str) -> None:
    (copy / "dataset.json").write_text(content)
    with pytest.raises(DataError, match=r"dataset.json can't be read: .*; it must hold"):
        load_dataset(copy)


@pytest.mark.parametrize("how", ["folder", "card"])
def test_other_data_under_a_catalogue_name_is_renamed(
    small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    folder = tmp_path / ("Fashion-MNIST" if how == "folder" else "mine")
    shutil.copytree(small, folder)
    (folder / "dataset.json").unlink(missing_ok=True)
    if how == "card":
        card = {"schema_version": 1, "name": "fashion-mnist", "mirror_keeps_class": True}
        (folder / "dataset.json").write_text(json.dumps(card))
    dataset = load_dataset(folder)
    assert dataset.name == "other-fashion-mnist"
    assert f"{folder} isn't Fashion-MNIST: its images or labels differ" in caplog.text
    assert DatasetCard.of(dataset, None).title == "other-fashion-mnist"


def test_a_folder_whose_name_can_not_be_printed(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[2J\nb"
    shutil.copytree(small, folder)
    (folder / "dataset.json").unlink(missing_ok=True)
    assert load_dataset(folder).name == "a\\x1b[2J\\nb"


def test_a_card_overrides_the_catalogue_which_overrides_the_rest(tmp_path: Path) -> None:
    folder, row = tmp_path / "mine", DATASETS["fashion-mnist"]
    folder.mkdir()
    assert card_of(folder, None) == Card("mine", False, "image")
    assert card_of(folder, row) == Card("fashion-mnist", True, "garment")
    fields = {"schema_version": 1, "name": "theirs", "mirror_keeps_class": False}
    (folder / "dataset.json").write_text(json.dumps(fields))
    assert card_of(folder, None) == Card("theirs", False, "image")
    assert card_of(folder, row) == Card("theirs", False, "garment")
    (folder / "dataset.json").write_text(json.dumps({**fields, "preparation": "digit"}))
    assert card_of(folder, row) == Card("theirs", False, "digit")
    (folder / "dataset.json").unlink()
    (folder / "dataset.json").symlink_to(folder / "nowhere")
    with pytest.raises(DataError, match=r"dataset\.json"):
        card_of(folder, row)


@pytest.mark.parametrize("name", ["MNIST", "m_n i.s-t", "ＭＮＩＳＴ"])
def test_names_that_look_like_one_of_the_catalogue_are_not_free(name: str) -> None:
    assert free_name(name, Path("here")) == "other-mnist"
    assert free_name(f"{name}2", Path("here")) == f"{name}2"
