"""Compressed and plain files, read no further than is asked for; `test_idx.py` damages them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from fittingroom.data.stream import CHUNK, open_stream, read_up_to
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
