"""Implausible images are refused, wherever they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from fittingroom.data import Dataset, idx, load_dataset
from fittingroom.data.mapped import memory_map
from fittingroom.data.plausible import check_images
from fittingroom.errors import DataError, InputError


@pytest.fixture(scope="module")
def real(small_folder: Path) -> np.ndarray:
    """300 real images (n, 28, 28)."""
    return load_dataset(small_folder).train.images[:300]


LABELS = np.arange(300) % 3


def refusal(images: np.ndarray, split: str = "training") -> str:
    with pytest.raises(InputError) as refused:
        check_images(images, LABELS[: len(images)], split)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_images_on_another_scale(real: np.ndarray) -> None:
    assert "the training images hold only 0 and 1; multiply them by 255" in refusal(real // 128)
    assert "the test images hold only 0 and 1" in refusal(real // 128, "test")
    digits = load_digits().images.astype(np.uint8)[:300]
    assert "span only 0 to 16; stretch them: images * 255 / 16" in refusal(digits)
    grey = real // 64 + 126
    assert "span only 126 to 129; stretch them: (images - 126) * 255 / 3" in refusal(grey)


def test_images_that_show_nothing(real: np.ndarray) -> None:
    for value in (0, 1, 255):
        nothing = np.full_like(real, value)
        assert f"every pixel of the training images is {value}" in refusal(nothing)
    assert "are all the same image" in refusal(np.repeat(real[:1], 300, axis=0))
    assert "only 2 training images are distinct, but they have 3 labels" in refusal(
        np.repeat(real[:2], 150, axis=0)
    )


def test_sound_images_pass_silently(real: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    sound = {
        "as it is": real,
        "binary": np.where(real > 99, np.uint8(255), np.uint8(0)),
        "three levels": real // 86 * 86,
        "dark": real // 3,
        "bright": 255 - real // 3,
        "one image a class": real[LABELS],
        "copies": np.repeat(real[:30], 10, axis=0),
        "a few blank ones": np.where(np.arange(300)[:, None, None] % 4, real, 0).astype(np.uint8),
    }
    for images in sound.values():
        check_images(images, LABELS, "training")
        check_images(images, LABELS, "test")
    check_images(real[:1] * 0, LABELS[:1], "test")  # a few images need not show anything
    assert caplog.text == ""


def test_strange_images_are_logged(real: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    centred = (real - real.mean()) / 60
    cast = centred.astype(np.int64).astype(np.uint8)  # negative floats wrap around
    blank = np.where(np.arange(300)[:, None, None] % 4, 0, real).astype(np.uint8)
    for images, words in (
        (real // 8, "go from 0 to 31"),
        (cast, "no pixels but 0, 1, 2, 3, 255, like floats around 0"),
        (blank, "225 of the 300 test images checked are identical"),
    ):
        caplog.clear()
        check_images(images, LABELS, "test")
        assert words in caplog.text


def test_the_sample_covers_all_images(tmp_path: Path, real: np.ndarray) -> None:
    many = np.zeros((20_000, 28, 28), np.uint8)
    labels = np.zeros(20_000, np.int64)
    assert "every pixel" in refusal_of(many, labels)
    many[10_000:] = real[np.arange(10_000) % 300]
    check_images(many, labels, "training")
    idx.write_idx(tmp_path / "images", many)
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", 16, many.shape)
    assert memory_map(mapped) is not None
    check_images(mapped, labels, "training")
    idx.write_idx(tmp_path / "images", many // 128)
    mapped = np.memmap(tmp_path / "images", np.uint8, "r", 16, many.shape)
    assert "only 0 and 1" in refusal_of(mapped, labels)


def refusal_of(images: np.ndarray, labels: np.ndarray) -> str:
    with pytest.raises(InputError) as refused:
        check_images(images, labels, "training")
    return str(refused.value)


@pytest.mark.parametrize("split", ["train", "test"])
def test_arrays_files_and_folders_are_checked_alike(
    tmp_path: Path, real: np.ndarray, split: str
) -> None:
    splits = {"train": real, "test": real[:30]}
    splits[split] = splits[split] // 128
    word = {"train": "training", "test": "test"}[split]
    train, test = splits["train"], splits["test"]
    complaint = f"the {word} images hold only 0 and 1"
    with pytest.raises(InputError, match=complaint):
        Dataset.from_arrays(train.astype(int), LABELS, test.tolist(), LABELS[:30])

    files, folder = tmp_path / "files", tmp_path / "folder"
    files.mkdir()
    arrays = (train, LABELS.astype(np.uint8), test, LABELS[:30].astype(np.uint8))
    for name, array in zip(idx.FILES, arrays, strict=True):
        idx.write_idx(files / name, array)
    for part, images in splits.items():
        for position, image in enumerate(images[:30]):
            path = folder / part / str(LABELS[position]) / f"{position}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    for where in (files, folder):
        with pytest.raises(DataError, match=f"{where.name}: .*{complaint}"):
            load_dataset(where)
