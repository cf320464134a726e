"""What Windows refuses and Linux allows, refused here too.

Each stand-in raises what Windows raises. The public workflow runs the suite on Windows itself.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from fittingroom.cli.main import app
from fittingroom.data.dataset import Dataset
from fittingroom.execution.job import Job, Limits
from fittingroom.execution.process import FitProcess
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

fcntl: Any = pytest.importorskip("fcntl")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc says what is open")
SMALL = Path(__file__).parent / "data" / "fashion-mnist-small"


@pytest.fixture
def strict_fsync(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """`os.fsync` of a handle that can't be written is EBADF; returns how often it was called."""
    calls: list[int] = []
    fsync = os.fsync

    def strict(handle: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        calls.append(handle)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", strict)
    return calls


@pytest.fixture
def strict_renaming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is renamed, replaced or removed while it, or something in it, is open."""

    def refuse_open(path: str | os.PathLike[str]) -> None:
        for handle in os.listdir("/proc/self/fd"):
            try:
                opened = Path(os.readlink(f"/proc/self/fd/{handle}"))
            except OSError:
                continue
            if opened.is_relative_to(os.path.abspath(path)) and opened.is_file():
                raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))

    def guarded(name: str) -> None:
        act: Callable[..., Any] = getattr(os, name)

        def checked(source: Any, *rest: Any, **options: Any) -> Any:
            if options.get("dir_fd") is None and options.get("src_dir_fd") is None:
                for path in (source, *rest[:1]):
                    refuse_open(path)
            return act(source, *rest, **options)

        monkeypatch.setattr(os, name, checked)

    for name in ("rename", "replace", "unlink", "remove"):
        guarded(name)


@pytest.mark.usefixtures("strict_renaming")
def test_whatever_is_written_is_closed_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strict_fsync: list[int]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (
        ["fit", "mlp-10-10", "--set", "epochs=2"],
        ["fit", "knn"],
        ["report"],
        ["data", "--convert", "copy"],
    ):
        of_data = [] if command == ["report"] else ["--dataset", str(SMALL)]
        if command[0] == "data":
            command, of_data = ["data", str(SMALL), *command[1:]], []
        done = CliRunner().invoke(app, [*command, *of_data], catch_exceptions=False)
        assert done.exit_code == 0, command
    assert len(strict_fsync) > 5
    assert sorted(path.name for path in (tmp_path / "copy").iterdir())[0] == "dataset.json"
    assert not list(tmp_path.rglob(".partial-*"))


class WindowsPipe:
    """A pipe whose other end is closed: EINVAL on Windows, and not a BrokenPipeError."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe

    def write(self, _: str) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    def close(self) -> None:
        self._pipe.close()
        raise OSError(errno.EINVAL, "Invalid argument")


def test_a_pipe_to_a_dead_child(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    job = Job(spec=spec_of(small, "knn"), dataset=str(SMALL), store=str(store.folder))
    with FitProcess(Limits()) as process:
        assert process.fit(job, lambda _: None).status == "ok"
        child: Any = process._process
        psutil.Process(child.pid).kill()
        child.stdin = WindowsPipe(child.stdin)
        attempt = process.fit(job, lambda _: None)
        assert attempt.status in ("failed", "out-of-memory")
        assert "process" in str(attempt.reason) or "killed" in str(attempt.reason)
        assert process.fit(job, lambda _: None).status == "ok"


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [
        ("cp437", ("models",)),
        ("cp1252", ("data", str(SMALL))),
        pytest.param(
            *(
                "cp1252",
                ("compare", "--models", "knn", "--format", "md", "-d", str(SMALL)),
            ),
            marks=pytest.mark.slow,
        ),
        ("cp1252", ("doctor",)),
    ],
    ids=["models", "data", "compare", "doctor"],
)
def test_a_redirected_stdout_of_western_europe(
    encoding: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    """cp1252 has no minus sign and no arrow, and cp437, that of the console, no dashes."""
    done = subprocess.run(
        [sys.executable, "-m", "fittingroom", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(encoding)
    assert done.stdout.decode(encoding)
