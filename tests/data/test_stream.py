"""Compressed and plain files, read no further than is asked for; `test_idx.py` damages them."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest

from fittingroom.data.stream import CHUNK, open_stream, open_zlib, read_up_to
from fittingroom.errors import DataError

CONTENT = bytes(range(256)) * 1000


@pytest.mark.parametrize("name", ["plain", "packed.gz"])
def test_as_many_bytes_as_are_asked_for(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(CONTENT) if path.suffix == ".gz" else CONTENT)
    with open_stream(path) as read:
        assert read_up_to(read, CHUNK + 7) == CONTENT[: CHUNK + 7]
        assert read_up_to(read, len(CONTENT)) == CONTENT[CHUNK + 7 :]
        assert read(1) == b""


def test_a_file_outside_its_folder(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside").write_bytes(CONTENT)
    (inside / "link").symlink_to(tmp_path / "outside")
    with (
        pytest.raises(DataError, match="links to something outside"),
        open_stream(inside / "link", inside),
    ):
        pass


def test_the_rest_of_a_file_that_is_a_zlib_stream(tmp_path: Path) -> None:
    """No more than is asked for, though zeros take a thousandth of their room."""
    content = CONTENT + bytes(2**25)
    path = tmp_path / "packed"
    path.write_bytes(b"head" + zlib.compress(content))
    with path.open("rb") as file:
        assert file.read(4) == b"head"
        read = open_zlib(path, file)
        assert len(read(7)) == 7
        assert read_up_to(read, len(content)) == content[7:]
        assert read(1) == b""


def test_a_damaged_zlib_stream(tmp_path: Path) -> None:
    whole, path = zlib.compress(CONTENT), tmp_path / "packed"
    for content, complaint in (
        (b"no stream", "packed is damaged: its data can't be unpacked"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "incorrect data check"),
        (whole[:-5], "packed is truncated"),
        (whole + b"x", "packed has trailing bytes"),
    ):
        path.write_bytes(content)
        with path.open("rb") as file, pytest.raises(DataError, match=complaint):
            read_up_to(open_zlib(path, file), len(CONTENT) + 1)
