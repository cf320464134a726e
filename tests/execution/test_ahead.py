"""What a new installation compiles while it fits, and that a later command starts nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.execution import ahead
from fittingroom.models.catalog import MODELS, SUITES, row_of


class Started:
    """Stands in for `subprocess.Popen`: keeps what would have been started."""

    def __init__(self) -> None:
        self.models: list[Sequence[str]] = []

    def __call__(self, command: Sequence[str], **_: Any) -> Started:
        assert command[2:5] == ["-m", "fittingroom.execution.ahead", str(os.getpid())]
        assert Path(command[5]).is_dir()
        self.models.append(command[6:])
        return self

    def poll(self) -> int:
        return 0

    def kill(self) -> None:
        pass

    wait = kill


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Started]:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    processes = Started()
    monkeypatch.setattr(subprocess, "Popen", processes)
    monkeypatch.setattr(ahead, "_started", [])
    yield processes
    ahead._end()
    assert not [*(tmp_path / "temporary").iterdir()]


def test_the_models_are_of_the_catalogue() -> None:
    assert {row_of(name).name for name in ahead.COMPILED} <= MODELS.keys()


def test_the_first_model_comes_last_since_its_fit_compiles(started: Started) -> None:
    ahead.compile_ahead(SUITES["quick"], {})
    assert started.models == [["knn", "random-forest", "cnn-32", "swift", "logistic"]]


def test_nothing_starts_for_a_single_fit(started: Started) -> None:
    ahead.compile_ahead(["cnn-32"], {})
    assert started.models == []


def test_nothing_starts_once_all_are_compiled(started: Started) -> None:
    models = ["knn", "svm-rbf", "cnn-32"]
    ahead.compile_ahead(models, {})
    for name in ("knn", "cnn-32"):
        ahead.mark(name).touch()
    ahead.compile_ahead(models, {})
    assert started.models == [["cnn-32", "knn"]]


def test_one_process_at_a_time(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Started, "poll", lambda self: None)
    for _ in range(2):
        ahead.compile_ahead(["knn", "cnn-32"], {})
    assert started.models == [["cnn-32", "knn"]]


def test_nothing_starts_where_the_cache_cant_be_written(
    started: Started, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "cache"))
    ahead.compile_ahead(["knn", "cnn-32"], {})
    assert started.models == []


def test_a_process_that_cant_be_started_is_no_error(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise BlockingIOError

    monkeypatch.setattr(subprocess, "Popen", fail)
    ahead.compile_ahead(["knn", "cnn-32"], {})


def test_other_sources_need_other_kernels(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ahead.mark("knn")
    assert ahead.mark("knn") == before
    monkeypatch.setattr(ahead, "version", lambda package: "0")
    ahead._state.cache_clear()
    try:
        assert ahead.mark("knn") != before
    finally:
        ahead._state.cache_clear()


AHEAD = (sys.executable, "-P", "-m", "fittingroom.execution.ahead")


def run(code: str, cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", textwrap.dedent(code), *arguments]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


COUNT = """
    import sys, tempfile
    from numba.core import event
    from fittingroom.data.sources import load_dataset
    from fittingroom.runs.fit import fit
    from fittingroom.runs.spec import spec_of
    from fittingroom.runs.store import open_store

    folder, *models = sys.argv[1:]
    dataset = load_dataset(folder)
    with tempfile.TemporaryDirectory() as runs, event.install_recorder("numba:compile") as compiled:
        for model in models:
            settings = {"epochs": 1} if model in ("cnn-32", "swift-90") else {}
            spec = spec_of(dataset, model, settings=settings)
            fit(spec, dataset, open_store(runs, dataset), keep_model=False)
    print([event.data["dispatcher"].py_func.__name__ for _, event in compiled.buffer])
"""


@pytest.mark.parametrize("models", [("logistic", "knn", "random-forest"), ("cnn-32", "swift-90")])
def test_a_fit_compiles_nothing_afterwards(
    models: tuple[str, ...], small: Dataset, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [*AHEAD, str(os.getpid()), str(tmp_path / "runs"), *models],
        stdin=subprocess.PIPE,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )
    with process:
        assert process.wait() == 0
    marks = [path for path in tmp_path.iterdir() if path.name.startswith("fittingroom-")]
    assert len(marks) == len(models)
    folder = tmp_path / "data"
    small.write_idx(folder)
    assert run(COUNT, tmp_path, str(folder), *models).stdout == "[]\n"


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*AHEAD, str(os.getpid()), str(tmp_path / "runs"), "swift"],
        stdin=subprocess.PIPE,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
    )
    assert process.stdin is not None
    process.stdin.close()  # as the parent's end does
    with process:
        assert process.wait() == 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("fittingroom-")]
