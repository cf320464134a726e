from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fittingroom.data import idx, mapped
from fittingroom.data.dataset import Dataset
from fittingroom.data.describe import describe
from fittingroom.data.mapped import MappedRows, memory_map, pieces
from fittingroom.data.sources import load_dataset
from fittingroom.errors import DataError

IMAGES = np.random.RandomState(0).randint(0, 256, (3000, 28, 28)).astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    idx.write_idx(tmp_path / "images", IMAGES)
    return tmp_path / "images"


@pytest.fixture
def images(path: Path) -> np.ndarray:
    return np.memmap(path, np.uint8, mode="r", offset=16, shape=IMAGES.shape)


def resident(path: Path) -> int:
    """KiB of a mapped file that are in this process's memory."""
    here, total = False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0] and not line.split()[0].endswith(":"):
            here = line.endswith(str(path))
        elif here and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


def test_a_map_is_recognised_through_its_views(path: Path, images: np.ndarray) -> None:
    view = images.view()
    view.flags.writeable = False
    for same in (images, view, images[7:], images.reshape(3000, -1), np.asarray(images), images.T):
        assert memory_map(same) is images
    others: list[Any] = [images[[0, 2]], images.copy(), IMAGES, images + 1, np.float32(images)]
    for other in others:
        assert memory_map(other) is None
    for mode in ("r+", "c"):  # it may change
        assert memory_map(np.memmap(path, np.uint8, mode=mode)) is None


ONE_IN_TWENTY = np.flatnonzero(np.random.RandomState(1).rand(3000) < 0.05)


@pytest.mark.parametrize(
    "index",
    [None, np.arange(5, 2000), ONE_IN_TWENTY, ONE_IN_TWENTY[::-1], np.array([2999, 0, 0, 3])],
)
def test_a_slice_is_those_rows_in_memory(
    images: np.ndarray, index: NDArray[np.int64] | None
) -> None:
    rows = MappedRows(images, index)
    expected = IMAGES if index is None else IMAGES[index]
    assert rows.shape == expected.shape
    assert rows.nbytes == expected.nbytes
    for some in (slice(0, 10), slice(7, 7), slice(None), slice(50, 10**9), slice(-3, None)):
        np.testing.assert_array_equal(rows[some], expected[some])
    assert memory_map(rows[:2]) is None
    assert rows[:2].flags.writeable
    few = np.array([1, 3])
    np.testing.assert_array_equal(rows.rows(few)[:], expected[few])
    np.testing.assert_array_equal(rows.reshape(784)[:9], expected[:9].reshape(-1, 784))


def test_rows_of_a_slice_of_a_map(images: np.ndarray) -> None:
    np.testing.assert_array_equal(MappedRows(images[100:, ::2])[5:8], IMAGES[105:108, ::2])
    np.testing.assert_array_equal(MappedRows(images[::-3], np.array([4]))[:], IMAGES[::-3][[4]])


def test_pieces_cover_the_array(images: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "_PIECE", 100_000)
    assert b"".join(piece.tobytes() for piece in pieces(images)) == IMAGES.tobytes()
    assert max(len(piece) for piece in pieces(images)) == 127
    (whole,) = pieces(IMAGES)
    assert whole is IMAGES
    (turned,) = pieces(IMAGES[:, :, ::-1])
    assert turned.flags.c_contiguous


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
def test_pages_are_released_after_reading(path: Path, images: np.ndarray) -> None:
    images.max()
    assert resident(path) > 2000
    for read in (lambda: list(pieces(images)), lambda: MappedRows(images, ONE_IN_TWENTY)[:]):
        read()
        assert resident(path) < 200  # the system maps a few neighbours of a page that is read


def test_a_truncated_file_is_one_sentence(path: Path, images: np.ndarray) -> None:
    rows = MappedRows(images)
    os.truncate(path, 16 + 784 * 2000)
    for read in (lambda: rows[:5], lambda: MappedRows(images), lambda: list(pieces(images))):
        with pytest.raises(DataError, match=r"images was truncated: 2352016 bytes .* 1568016 are"):
            read()


def test_a_changed_or_missing_file_is_one_sentence(path: Path, images: np.ndarray) -> None:
    rows = MappedRows(images)
    with path.open("r+b") as file:
        file.seek(500)
        file.write(b"other")
    os.utime(path, ns=(0, 0))
    with pytest.raises(DataError, match="images changed while it was read; start again"):
        rows[:5]
    path.unlink()
    with pytest.raises(DataError, match="images can't be read: No such file"):
        rows[:5]


def test_the_identity_tells_rows_and_files_apart(path: Path, images: np.ndarray) -> None:
    identity = MappedRows(images).identity()
    assert MappedRows(images[:]).identity() == identity
    assert MappedRows(images, np.arange(3000)).identity() != identity
    assert MappedRows(images, ONE_IN_TWENTY).identity() != MappedRows(images).identity()
    status = os.stat(path)
    with path.open("r+b") as file:
        file.seek(16)
        file.write(bytes(784))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert MappedRows(images).identity() != identity  # the samples differ
    path.write_bytes((16 + IMAGES.nbytes) * b"0")
    np_map = np.memmap(path, np.uint8, mode="r", offset=16, shape=IMAGES.shape)
    zeros = MappedRows(np_map).identity()
    os.utime(path, ns=(0, 0))
    assert MappedRows(np_map).identity() != zeros  # the time differs


def test_a_mapped_data_set_is_the_same_data_set(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = load_dataset(small)
    read.write_idx(tmp_path)
    monkeypatch.setattr(idx, "MAP_FROM", 100_000)
    mapped_dataset = load_dataset(tmp_path)
    assert memory_map(mapped_dataset.train.images) is not None
    assert not mapped_dataset.train.images.flags.writeable
    assert memory_map(mapped_dataset.train.labels) is None  # type: ignore[arg-type]
    assert mapped_dataset.sha256 == read.sha256
    assert describe(mapped_dataset).train == describe(read).train
    mapped_dataset.write_idx(tmp_path)  # over the files that it maps
    assert load_dataset(tmp_path).sha256 == read.sha256
    assert isinstance(mapped_dataset, Dataset)
