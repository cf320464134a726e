from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fittingroom.array_file import MAX_BYTES, _check_directory, open_arrays
from fittingroom.errors import DataError


def zipped(**members: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return data.getvalue()


def saved(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


SHORT = saved(np.zeros(4)).replace(b"(4,)", b"(9,)")
LONG = saved(np.zeros(4)) + b"more"
BOMB = saved(np.zeros(4)).replace(b"'shape': (4,), }", b"'shape': (10**9,)}")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "File is not a zip file"),
        (b"PK\x03\x04", "File is not a zip file"),
        (zipped(a=b"hello there"), "magic string is not correct"),
        (zipped(a=SHORT), "a.npy doesn't have the size that its header says"),
        (zipped(a=LONG), "a.npy doesn't have the size that its header says"),
        (zipped(a=BOMB), "can't be read"),
        (zipped(a=saved(np.zeros(4)))[:-30], "File is not a zip file"),
        (zipped(**{f"a{n}": b"" for n in range(1001)}), "more than 1000 arrays"),
        (zipped(b=saved(np.zeros(4))), "KeyError 'a'"),
    ],
)
def test_malformed_arrays_are_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(DataError) as refusal, open_arrays(path, DataError) as arrays:
        arrays.read("a")
    assert str(refusal.value).startswith(f"{path} can't be read: ")
    assert complaint in str(refusal.value)


def test_sizes_are_checked_before_arrays_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    n = MAX_BYTES // 8 + 1
    np.savez_compressed(path, large=np.zeros(n), small=np.arange(3), words=np.array([{}]))
    with open_arrays(path, DataError) as arrays:
        assert arrays.headers["large"].shape == (n,)
        assert arrays.objects == {"words"}
        assert arrays.read("small")[0].tolist() == [0, 1, 2]
        with pytest.raises(ValueError, match="would take 536,870,920 bytes of memory"):
            arrays.read("large")


def packed(name: str, content: bytes, how: int) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", how) as archive:
        archive.writestr(name, content)
    return data.getvalue()


def test_compressions_that_unpack_before_they_are_measured(tmp_path: Path) -> None:
    header = saved(np.zeros(4))[:8]
    long = header[:6] + b"\x02\x00" + (2**31).to_bytes(4, "little") + b" " * 2**24
    for content, complaint in (
        (packed("a.npy", bytes(2**24), zipfile.ZIP_BZIP2), "a compression that NumPy doesn't use"),
        (packed("a.npy", bytes(2**24), zipfile.ZIP_LZMA), "a compression that NumPy doesn't use"),
        (packed("a.npy", long, zipfile.ZIP_DEFLATED), "can't be read"),
    ):
        path = tmp_path / "a.npz"
        path.write_bytes(content)
        tracemalloc.start()
        with pytest.raises(DataError, match=complaint), open_arrays(path, DataError) as arrays:
            arrays.read("a")
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


@pytest.mark.parametrize("comment", [b"", b"x" * 65_535])
def test_a_directory_of_thousands_of_entries_is_not_read(comment: bytes) -> None:
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(7000):
            archive.writestr(f"{number:080}.npy", b"")
        archive.comment = comment
    with pytest.raises(ValueError, match="more than 1000 arrays"):
        _check_directory(many)
