"""loading.py: a data set from a path."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from fittingroom.data import DATASETS, idx, load_dataset
from fittingroom.errors import DataError

IMAGES = idx.TRAIN_IMAGES


def test_a_folder_of_idx_files(small: Path) -> None:
    dataset = load_dataset(small)
    assert dataset.name == "fashion-mnist-small"
    assert dataset.class_names == DATASETS["fashion-mnist"].class_names  # from labels.txt
    assert not dataset.mirror_keeps_class
    assert dataset.location == small
    assert (len(dataset.train), len(dataset.test)) == (2000, 1000)
    assert load_dataset(str(small)).sha256 == dataset.sha256


def test_compressed_or_not_is_the_same_data(small: Path, tmp_path: Path) -> None:
    for name in idx.FILES:
        (tmp_path / name).write_bytes(gzip.decompress((small / f"{name}.gz").read_bytes()))
    shutil.copy(small / "labels.txt", tmp_path)
    assert load_dataset(tmp_path).sha256 == load_dataset(small).sha256


def test_a_folder_with_a_file_missing(copy: Path) -> None:
    (copy / f"{IMAGES}.gz").unlink()
    with pytest.raises(DataError, match=f"mine lacks {IMAGES}"):
        load_dataset(copy)


def test_links_that_lead_out_of_a_folder_are_not_followed(copy: Path, tmp_path: Path) -> None:
    (copy / f"{IMAGES}.gz").rename(tmp_path / "elsewhere.gz")
    (copy / f"{IMAGES}.gz").symlink_to(tmp_path / "elsewhere.gz")
    with pytest.raises(DataError, match=r"links to something outside .*cp -L makes one"):
        load_dataset(copy)
    (copy / f"{IMAGES}.gz").unlink()
    (tmp_path / "elsewhere.gz").rename(copy / "stored")
    (copy / f"{IMAGES}.gz").symlink_to("stored")
    load_dataset(copy)


def test_paths_without_a_data_set(small: Path, tmp_path: Path) -> None:
    for path, complaint in (
        (
            tmp_path / "absent",
            "absent doesn't exist.",
        ),
        (small / "labels.txt", "labels.txt holds no data set in a form that can be read"),
        (
            tmp_path,
            "holds no data set in a form .*: the four IDX files of MNIST, class-named",
        ),
        ("~nobody-by-that-name/x", "doesn't exist"),
        ("x/" + "y" * 5000, "doesn't exist"),
        ("a/\0", "doesn't exist"),
    ):
        with pytest.raises(DataError, match=complaint):
            load_dataset(path)
