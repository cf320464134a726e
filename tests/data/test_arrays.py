"""NumPy files as Keras, MedMNIST and KMNIST have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.errors import DataError

Arrays = dict[str, Any]


@pytest.fixture
def arrays(small: Path) -> Arrays:
    """As Keras calls them."""
    data = load_dataset(small)
    return {
        "x_train": data.train.images,
        "y_train": data.train.labels,
        "x_test": data.test.images,
        "y_test": data.test.labels,
    }


@pytest.fixture
def same(arrays: Arrays) -> str:
    """The content hash of the arrays, whose labels name the classes."""
    return Dataset.from_arrays(
        *(arrays[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    ).sha256


def renamed(arrays: Arrays, names: tuple[str, str, str, str]) -> Arrays:
    return dict(zip(names, arrays.values(), strict=True))


def test_keras_npz(arrays: Arrays, same: str, tmp_path: Path) -> None:
    path = tmp_path / "garments.npz"
    np.savez_compressed(path, **arrays)
    data = load_dataset(path)
    assert data.sha256 == same
    assert (data.name, data.location) == ("garments", path)
    assert data.source == f"{path}, arrays in an .npz file"
    assert data.class_names == tuple("0123456789")


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_x", "train_y", "test_x", "test_y"),
        ("train-data", "train-targets", "test-data", "test-targets"),
    ],
)
def test_other_names(
    arrays: Arrays, same: str, tmp_path: Path, names: tuple[str, str, str, str]
) -> None:
    np.savez(tmp_path / "a.npz", **renamed(arrays, names), note=np.arange(3))
    assert load_dataset(tmp_path / "a.npz").sha256 == same


def test_other_types_and_shapes(arrays: Arrays, same: str, tmp_path: Path) -> None:
    changed = {
        "x_train": (arrays["x_train"] / 255).astype(np.float32)[..., None],
        "y_train": arrays["y_train"][:, None].astype(np.uint8),
        "x_test": arrays["x_test"].reshape(len(arrays["x_test"]), -1).astype(np.int32),
        "y_test": np.eye(10)[arrays["y_test"]],
    }
    np.savez(tmp_path / "a.npz", **changed)
    assert load_dataset(tmp_path / "a.npz").sha256 == same


def test_four_files_with_an_array_each(arrays: Arrays, same: str, tmp_path: Path) -> None:
    names = ("k-train-imgs", "k-train-labels", "k-test-imgs", "k-test-labels")
    for name, array in renamed(arrays, names).items():
        np.savez_compressed(tmp_path / f"{name}.npz", array)
    assert load_dataset(tmp_path).sha256 == same


def test_four_npy_files(arrays: Arrays, same: str, tmp_path: Path) -> None:
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    assert load_dataset(tmp_path).sha256 == same


def test_arrays_without_a_split(arrays: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=arrays["x_train"], labels=arrays["y_train"])
    data = load_dataset(tmp_path / "a.npz")
    assert len(data.train) + len(data.test) == len(arrays["x_train"])
    (tmp_path / "folder").mkdir()
    for name in ("x", "y"):
        np.save(tmp_path / "folder" / f"{name}.npy", arrays[f"{name}_train"])
    assert load_dataset(tmp_path / "folder").sha256 == data.sha256


def test_a_folder_may_name_its_classes(arrays: Arrays, small: Path, tmp_path: Path) -> None:
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    for name in ("labels.txt", "dataset.json"):
        if (small / name).exists():
            (tmp_path / name).write_bytes((small / name).read_bytes())
    assert load_dataset(tmp_path).sha256 == load_dataset(small).sha256


def test_an_official_validation_part(arrays: Arrays, same: str, tmp_path: Path) -> None:
    validation = {"val_images": arrays["x_test"][:200], "val_labels": arrays["y_test"][:200]}
    np.savez(tmp_path / "a.npz", **arrays, **validation)
    data = load_dataset(tmp_path / "a.npz")
    assert (len(data.train), data.validation_images) == (2200, 200)
    assert data.sha256 != same
    data.write_idx(tmp_path / "idx")
    again = load_dataset(tmp_path / "idx")
    assert (again.sha256, again.validation_images) == (data.sha256, 200)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"x_test": None}, "lacks the test images; name its arrays x_train, .* It holds 'x_train'"),
        ({"x_val": np.zeros(3)}, "lacks the validation labels"),
        ({"y_train": np.array([{}], object)}, "lacks the train labels.*Python objects are never"),
        ({"train_images": np.zeros(3)}, "holds both x_train and train_images; keep one"),
        ({"y_test": np.zeros(7, int)}, r"a.npz holds 7 labels for 1,000 images"),
        ({"x_test": np.zeros((9, 28, 28, 3), np.uint8)}, "x_test in .*a.npz: its images .*colour"),
        ({"y_train": np.full(2000, 0.5)}, "y_train in .*a.npz: its labels must be whole numbers"),
    ],
)
def test_what_is_wrong_is_named(
    arrays: Arrays, tmp_path: Path, changes: Arrays, complaint: str
) -> None:
    kept = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
    np.savez(tmp_path / "a.npz", **kept)
    with pytest.raises(DataError, match=complaint):
        load_dataset(tmp_path / "a.npz")


def test_an_array_beside_its_compressed_copy(
    arrays: Arrays, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    alone = load_dataset(tmp_path).sha256
    np.savez_compressed(tmp_path / "x_train.npz", arrays["x_train"][::-1])  # not read
    with caplog.at_level("INFO"):
        assert load_dataset(tmp_path).sha256 == alone
    assert f"{tmp_path / 'x_train.npy'} is read, not its compressed copy x_train.npz" in caplog.text


def test_files_of_a_folder_that_are_wrong(arrays: Arrays, tmp_path: Path) -> None:
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "x_val.npy", arrays["x_test"])
    with pytest.raises(DataError, match=r"lacks the validation labels.* 'x_train.npy'"):
        load_dataset(tmp_path)
    (tmp_path / "x_val.npy").unlink()
    np.save(tmp_path / "train_images.npy", arrays["x_train"])
    with pytest.raises(
        DataError, match=r"train_images.npy and .*x_train.npy both hold the train i"
    ):
        load_dataset(tmp_path)
    (tmp_path / "train_images.npy").unlink()
    (tmp_path / "x_train.npy").unlink()
    np.savez(tmp_path / "x_train.npz", arrays["x_train"], arrays["y_train"])
    with pytest.raises(
        DataError, match=r"x_train.npz holds 2 arrays; an .npz in a folder must hold one"
    ):
        load_dataset(tmp_path)
    (tmp_path / "x_train.npz").unlink()
    np.save(tmp_path / "x_train.npy", np.array([{}], object))
    with pytest.raises(DataError, match=r"x_train.npy can't be read: it holds Python objects"):
        load_dataset(tmp_path)
    (tmp_path / "x_train.npy").write_bytes((tmp_path / "x_test.npy").read_bytes()[:-1])
    with pytest.raises(DataError, match="the size that its header says"):
        load_dataset(tmp_path)
