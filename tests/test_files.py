from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fittingroom import files
from fittingroom.errors import DataError, StoreError
from fittingroom.files import (
    SILENCE,
    file_aside,
    is_abandoned,
    partial_path,
    remove_abandoned,
    replace_file,
    this_process,
)


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    path = tmp_path / "leaderboard.json"
    replace_file(path, "old")
    with pytest.raises(UnicodeEncodeError):
        replace_file(path, "new \udcff")
    with pytest.raises(KeyboardInterrupt), file_aside(path) as partial:
        raise KeyboardInterrupt(partial.write_text("half of it"))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["leaderboard.json"]


def test_a_failed_write_raises_the_callers_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=r"folder can't be written: is a directory\."):
        replace_file(tmp_path / "folder", b"")
    with pytest.raises(DataError, match=r"absent/x can't be written: no such file or directory\."):
        replace_file(tmp_path / "absent" / "x", b"", DataError)


def partial_of(folder: Path, pid: int, monkeypatch: pytest.MonkeyPatch, machine: str = "") -> Path:
    """A partial file as a process with this id would have written it."""
    with monkeypatch.context() as other:
        other.setattr(files, "this_process", lambda: replace(this_process(), pid=pid))
        if machine:
            owner = replace(this_process(), host=machine)
            other.setattr(files, "this_process", lambda: owner)
        path = partial_path(folder)
    path.mkdir()
    (path / "run.json").write_text("{")
    return path


def test_only_files_of_dead_processes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = partial_of(tmp_path, ended.pid, monkeypatch)
    alive = partial_of(tmp_path, os.getpid(), monkeypatch)
    elsewhere = partial_of(tmp_path, ended.pid, monkeypatch, machine="another one")
    of_version_0_1 = tmp_path / ".partial-999999999-abcd"
    of_version_0_1.mkdir()
    other = tmp_path / ".partial"
    other.mkdir()
    remove_abandoned(tmp_path, ".partial*")
    assert {*tmp_path.iterdir()} == {alive, elsewhere, of_version_0_1, other}
    assert not dead.exists()


def test_files_of_another_machine_are_removed_after_a_day_of_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = partial_of(tmp_path, 1, monkeypatch, machine="another one")
    long_ago = path.stat().st_mtime - SILENCE - 10
    os.utime(path, (long_ago, long_ago))
    assert not is_abandoned(path)  # something in it was written since
    os.utime(path / "run.json", (long_ago, long_ago))
    assert is_abandoned(path)


def test_a_reused_process_id_decides_nothing() -> None:
    owner = this_process()
    assert owner.is_dead is False
    assert replace(owner, born=owner.born - 3600).is_dead is None
    assert replace(owner, host="another one").is_dead is None
