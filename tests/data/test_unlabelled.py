"""unlabelled.py: images in one file, whether labels stand beside them or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data import load_dataset
from fittingroom.data.unlabelled import holds_images, read_images
from fittingroom.errors import DataError


def test_files_of_images_are_known_by_their_names(small: Path, tmp_path: Path) -> None:
    assert holds_images(small / "t10k-images-idx3-ubyte.gz")
    assert not holds_images(small / "t10k-labels-idx1-ubyte.gz")
    assert not holds_images(small)
    for name, known in (("a.csv", True), ("a.CSV.gz", True), ("a.npy", True), ("a.png", False)):
        assert not holds_images(tmp_path / name)
        (tmp_path / name).write_bytes(b"")
        assert holds_images(tmp_path / name) is known


def test_images_are_those_of_the_data_set(small: Path, tmp_path: Path) -> None:
    test = load_dataset(small).test
    rows = test.images.reshape(len(test), -1)
    np.savetxt(tmp_path / "pixels.csv", rows, "%d", ",")
    np.savetxt(tmp_path / "labelled.csv", np.column_stack([test.labels, rows]), "%d", ",")
    np.save(tmp_path / "unit.npy", test.images / 255)
    shutil.copy(small / "t10k-images-idx3-ubyte.gz", tmp_path)
    for file in tmp_path.iterdir():
        np.testing.assert_array_equal(read_images(file), test.images, file.name)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is empty"),
        ("1,2,3\n", "has 3 columns, so 2 pixels"),
        ("1,2,3,4\n1,2,3\n", "line 2: it has 3 columns, not 4"),
        ("1,2,3,400\n", "line 1: the pixel 400 isn't between 0 and 255"),
    ],
)
def test_a_table_that_holds_no_images(content: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text(content)
    with pytest.raises(DataError, match=complaint):
        read_images(tmp_path / "test.csv")
