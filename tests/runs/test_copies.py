from __future__ import annotations

from pathlib import Path

import numpy as np

from fittingroom.data.dataset import Dataset, Split
from fittingroom.runs.copies import copied_test_images


def test_only_exact_copies_are_counted(small: Dataset) -> None:
    assert copied_test_images(small) == 0
    test = small.test.images.copy()
    test[[3, 5]] = small.train.images[1999]
    test[8] = small.train.images[0]
    test[9] = small.train.images[0]
    test[9, 27, 27] ^= 1  # one pixel, by one
    test[10] = test[11]  # of another test image: no matter here
    assert copied_test_images(changed(small, small.train.images, test)) == 3
    assert copied_test_images(changed(small, small.train.images, small.train.images[:1000])) == 1000


def test_a_mapped_file_is_counted_too(small: Dataset, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", small.train.images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert copied_test_images(changed(small, mapped, small.train.images[:1000])) == 1000


def changed(small: Dataset, train: np.ndarray, test: np.ndarray) -> Dataset:
    """`small` with other images; a memory map stays one."""
    return Dataset(
        name="changed",
        train=Split(train, small.train.labels),
        test=Split(test, small.test.labels),
        class_names=small.class_names,
        mirror_keeps_class=True,
        sha256="0" * 64,
        source="here",
    )
