from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset, Split
from fittingroom.runs import copies
from fittingroom.runs.copies import (
    copied_test_images,
    nearly_copied_share,
    repeated_images,
    searched,
)


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


@pytest.mark.parametrize("hashes", ["their own", "the same for all"])
def test_different_images_with_the_same_hash_are_no_copies(
    hashes: str, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    if hashes == "the same for all":
        monkeypatch.setattr(copies, "_hashes", lambda images: np.zeros(len(images), np.uint64))
    assert repeated_images(small.test.images) == ()
    images = small.test.images[:, :27, :27].copy()  # not a whole number of words
    images[[4, 90]] = images[2]
    images[7] = images[8]
    assert repeated_images(images) == ((2, 4, 90), (7, 8))
    train = small.train.images.copy()
    train[5] = small.test.images[2]
    assert copied_test_images(changed(small, train, small.test.images)) == 1


def test_near_copies_are_no_exact_ones(small: Dataset) -> None:
    assert nearly_copied_share(small) < 0.01
    test = small.test.images.copy()
    test[:100] = small.train.images[:100]
    test[100:300] = small.train.images[100:300] // 2 * 2  # less by at most one
    test[300:400] = np.roll(small.train.images[300:400], 5, axis=2)
    found = nearly_copied_share(changed(small, small.train.images, test))
    assert found == pytest.approx(0.2 + nearly_copied_share(small), abs=0.01)


@pytest.mark.parametrize(("levels", "least", "most"), [(0, 0, 0), (8, 1, 1), (9, 0, 0.02)])
def test_near_is_a_difference_of_at_most_eight_levels(
    small: Dataset, levels: int, least: float, most: float
) -> None:
    """Every test image is a training image, each pixel of which is off by as many levels."""
    train = small.train.images // 2
    share = nearly_copied_share(changed(small, train, train[:1000] + np.uint8(levels)))
    assert least <= share <= most


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


def test_large_images_are_not_all_searched() -> None:
    assert len(searched(np.zeros((9, 6000, 6000), np.uint8))) == 3
    assert len(searched(np.zeros((2, 20000, 10000), np.uint8))) == 1
    assert len(searched(np.zeros((70_000, 4, 4), np.uint8))) == 60_000


@pytest.mark.parametrize("side", [28, 40], ids=["float32", "float64"])
def test_one_level_of_one_pixel_is_seen(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "_BLOCK", 70_000)  # several blocks, the last one shorter
    images = np.random.default_rng(0).integers(0, 256, (300, side * side), dtype=np.uint8)
    images[0], images[1] = 0, 255  # the largest products
    queries = images.copy()
    queries[::2, 0] ^= 1
    expected = [[np.square(q.astype(int) - i).sum() for i in images.astype(int)] for q in queries]
    assert np.array_equal(copies._least_squared(images, queries), np.min(expected, axis=1))
