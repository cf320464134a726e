"""IDX files of QMNIST and EMNIST, made of real garments."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data import load_dataset
from fittingroom.data.idx_sets import is_idx_set
from fittingroom.errors import DataError


def write(path: Path, array: np.ndarray, element: int = 8) -> None:
    """Write an IDX file of any type of elements, compressed."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, element, array.ndim, *array.shape)
    types = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header + array.astype(types[element]).tobytes(), 1))


@pytest.fixture
def qmnist(small: Path, tmp_path: Path) -> Path:
    """Label rows of eight integers, of which the first is the class."""
    data = load_dataset(small)
    for split in ("train", "test"):
        part = getattr(data, split)
        rows = np.column_stack([part.labels, np.tile(np.arange(7), (len(part), 1))])
        write(tmp_path / "q" / f"qmnist-{split}-images-idx3-ubyte.gz", part.images)
        write(tmp_path / "q" / f"qmnist-{split}-labels-idx2-int.gz", rows, 12)
    return tmp_path / "q"


@pytest.fixture
def emnist(small: Path, tmp_path: Path) -> Path:
    """Transposed images, letters from 1, two data sets in a folder."""
    data = load_dataset(small)
    for name in ("emnist-letters", "emnist-digits"):
        for split in ("train", "test"):
            part = getattr(data, split)
            columns = part.images.transpose(0, 2, 1)
            write(tmp_path / "e" / f"{name}-{split}-images-idx3-ubyte.gz", columns)
            labels = part.labels + (name == "emnist-letters")
            write(tmp_path / "e" / f"{name}-{split}-labels-idx1-ubyte.gz", labels)
    mapping = "".join(f"{label} {64 + label} {96 + label}\n" for label in range(1, 11))
    (tmp_path / "e" / "emnist-letters-mapping.txt").write_text(mapping)
    return tmp_path / "e"


def test_qmnist(qmnist: Path, small: Path) -> None:
    data, known = load_dataset(qmnist), load_dataset(small)
    np.testing.assert_array_equal(data.train.images, known.train.images)
    np.testing.assert_array_equal(data.test.labels, known.test.labels)
    assert data.name == "qmnist"


def test_files_beside_their_compressed_copies(
    qmnist: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = load_dataset(qmnist).sha256
    for file in list(qmnist.iterdir()):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.write_bytes(b"damaged")  # so that reading it would be an error
    with caplog.at_level("INFO"):
        assert load_dataset(qmnist).sha256 == known
    assert caplog.text.count("is read, not its compressed copy qmnist-") == 4


def test_emnist_letters(emnist: Path, small: Path) -> None:
    data = load_dataset(emnist / "emnist-letters-train-images-idx3-ubyte.gz")
    known = load_dataset(small)
    np.testing.assert_array_equal(data.train.images, known.train.images)
    np.testing.assert_array_equal(data.test.labels, known.test.labels)
    assert data.class_names == ("Aa", "Bb", "Cc", "Dd", "Ee", "Ff", "Gg", "Hh", "Ii", "Jj")
    assert data.name == "emnist-letters"


def test_without_a_mapping_labels_are_names(emnist: Path) -> None:
    data = load_dataset(emnist / "emnist-digits-test-labels-idx1-ubyte.gz")
    assert data.class_names[:2] == ("0", "1")
    (emnist / "emnist-letters-mapping.txt").unlink()
    data = load_dataset(emnist / "emnist-letters-test-labels-idx1-ubyte.gz")
    assert data.class_names[:2] == ("1", "2")


def test_a_folder_of_several(emnist: Path) -> None:
    assert is_idx_set(emnist)
    with pytest.raises(DataError, match="2 data sets, such as emnist-digits and emnist-letters"):
        load_dataset(emnist)


def test_a_missing_file(qmnist: Path) -> None:
    (qmnist / "qmnist-test-labels-idx2-int.gz").unlink()
    with pytest.raises(DataError, match="lacks the test labels of qmnist"):
        load_dataset(qmnist / "qmnist-train-images-idx3-ubyte.gz")


@pytest.mark.parametrize(
    ("mapping", "complaint"),
    [
        ("1 65\nx 66\n", "mapping.txt, line 2: expected a label"),
        ("1 65\n2 9999999999\n", "mapping.txt, line 2"),
        ("1 65\n2 66\n", "has the label 3, which emnist-letters-mapping.txt doesn't name"),
    ],
)
def test_a_wrong_mapping(emnist: Path, mapping: str, complaint: str) -> None:
    (emnist / "emnist-letters-mapping.txt").write_text(mapping)
    with pytest.raises(DataError, match=complaint):
        load_dataset(emnist / "emnist-letters-train-images-idx3-ubyte.gz")


@pytest.mark.parametrize("element", [9, 11, 12, 13, 14])
def test_elements_of_every_type(element: int, small: Path, tmp_path: Path) -> None:
    known = load_dataset(small)
    for split, name in (("train", "train"), ("test", "t10k")):
        part = getattr(known, split)
        images = part.images // 2 if element == 9 else part.images
        write(tmp_path / "m" / f"{name}-images-idx3-ubyte.gz", images, element)
        write(tmp_path / "m" / f"{name}-labels-idx1-ubyte.gz", part.labels, element)
    (tmp_path / "m" / "labels.txt").write_text("\n".join(known.class_names))
    data = load_dataset(tmp_path / "m")
    expected = known.train.images // 2 if element == 9 else known.train.images
    np.testing.assert_array_equal(data.train.images, expected)
    assert element == 9 or data.sha256 == known.sha256


def test_pixels_beyond_a_byte(small: Path, tmp_path: Path) -> None:
    part = load_dataset(small).test
    write(tmp_path / "m" / "train-images-idx3-ubyte.gz", part.images * 256.0, 12)
    for name in ("train-labels-idx1", "t10k-labels-idx1"):
        write(tmp_path / "m" / f"{name}-ubyte.gz", part.labels)
    write(tmp_path / "m" / "t10k-images-idx3-ubyte.gz", part.images)
    with pytest.raises(DataError, match=r"train-images.*its images hold values from 0 to 65280"):
        load_dataset(tmp_path / "m")


def test_odd_files_beside_them(qmnist: Path, small: Path) -> None:
    """What macOS leaves, and a letter that only looks like an s."""
    (qmnist / "._emnist-letters-train-images-idx3-ubyte.gz").write_bytes(b"")
    (qmnist / "te\u017ft-images-idx3-ubyte").write_bytes(b"")
    assert len(load_dataset(qmnist).train) == 2000


def test_emnist_as_csv(small: Path, tmp_path: Path) -> None:
    known = load_dataset(small)
    for split in ("train", "test"):
        part = getattr(known, split)
        columns = part.images.transpose(0, 2, 1).reshape(len(part), -1)
        table = np.column_stack([part.labels, columns])
        np.savetxt(tmp_path / f"emnist-digits-{split}.csv", table, fmt="%d", delimiter=",")
    data = load_dataset(tmp_path / "emnist-digits-train.csv")
    np.testing.assert_array_equal(data.train.images, known.train.images)
