from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from fittingroom.bench import fit_one
from fittingroom.data.dataset import Dataset
from fittingroom.errors import UsageError
from fittingroom.execution.together import fit_together
from fittingroom.runs.attempt import FitStep
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import find_store, open_store
from fittingroom.runs.transfer import pack
from fittingroom.training import distributed
from fittingroom.training.checkpoint import Checkpoint
from fittingroom.training.distributed import Group

PROGRAM = ("-m", "fittingroom.cli.main", "fit")
SETTINGS = {"epochs": 1, "batch_size": 100, "precision": "float32"}


def torchrun(
    folder: Path, *arguments: str, program: Sequence[str] = PROGRAM
) -> subprocess.CompletedProcess[str]:
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    return subprocess.run(
        [sys.executable, *launch, *program, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def settings() -> list[str]:
    return [part for s in SETTINGS.items() for part in ("--set", f"{s[0]}={s[1]}")]


def assert_same(together: Path, alone: Path) -> None:
    """The same runs, except for rounding and the record of how they were made."""
    ours, theirs = find_store(together).runs(), find_store(alone).runs()
    assert [run.folder.name for run in ours] == [run.folder.name for run in theirs]
    for two, one in zip(ours, theirs, strict=True):
        assert two.record.environment["processes"] == 2
        assert "processes" not in one.record.environment
        for part in ("test", "validation"):
            if (expected := getattr(one, part)) is not None:
                found = getattr(two, part).probabilities
                np.testing.assert_allclose(found, expected.probabilities, atol=1e-4)


def fit_alone(small_folder: Path, folder: Path, **options: Any) -> None:
    fit_one.fit(small_folder, "cnn-32", settings=SETTINGS, runs=folder, **options)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.slow
def test_two_processes_save_the_same_run_as_one(tmp_path: Path, small_folder: Path) -> None:
    done = torchrun(tmp_path, "cnn-32", *settings(), "--dataset", str(small_folder), "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("seed 0: fitting") == 1
    assert done.stderr.count("seed 0: done") == 1
    assert json.loads(done.stdout)["environment"]["processes"] == 2
    assert not list(tmp_path.glob("runs/*/*/.*"))
    fit_alone(small_folder, tmp_path / "alone")
    assert_same(tmp_path / "runs", tmp_path / "alone")


@pytest.mark.slow
def test_the_reference_run_of_a_full_run_is_fitted_together_or_reused(
    tmp_path: Path, small_folder: Path
) -> None:
    """If only the first process has it, the others must not fit it."""
    full = (*settings(), "--full", "--dataset", str(small_folder))
    assert torchrun(tmp_path, "cnn-32", *full).returncode == 0
    fit_alone(small_folder, tmp_path / "alone", full=True)
    assert_same(tmp_path / "runs", tmp_path / "alone")
    (all_images,) = (run for run in find_store(tmp_path / "runs").runs() if run.record.spec.full)
    shutil.rmtree(all_images.folder)
    assert torchrun(tmp_path, "cnn-32", *full).returncode == 0
    assert_same(tmp_path / "runs", tmp_path / "alone")
    again = torchrun(tmp_path, "cnn-32", *full)
    assert again.returncode == 0, again.stderr
    assert "already saved" in again.stderr


STOPPING = """
import os
from fittingroom.cli.main import main
from fittingroom.training import checkpoint

class Stopping(checkpoint.Checkpoint):
    def __init__(self, path):
        super().__init__(path, interval=0)

    def write(self, state):
        super().write(state)
        os._exit(1)

checkpoint.Checkpoint = Stopping
main()
"""


@pytest.mark.slow
def test_a_killed_training_resumes_in_all_processes(tmp_path: Path, small_folder: Path) -> None:
    """The others get the first one's checkpoint; without it all would fail."""
    (tmp_path / "stopping.py").write_text(STOPPING)
    command = ("cnn-32", *settings(), "--set", "epochs=2", "--dataset", str(small_folder))
    stopped = torchrun(tmp_path, *command, program=(str(tmp_path / "stopping.py"), "fit"))
    assert stopped.returncode != 0
    (checkpoint,) = tmp_path.glob("runs/*/*/.checkpoint-*")
    state = Checkpoint(checkpoint).read()
    assert state is not None
    done = torchrun(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    (run,) = find_store(tmp_path / "runs").runs()
    assert len(run.history) == 2
    assert [vars(run.history[0])] == state.facts["history"]  # with the original seconds
    assert not checkpoint.exists()


@pytest.mark.slow
def test_errors_of_several_processes_are_one_sentence(tmp_path: Path, small_folder: Path) -> None:
    done = torchrun(tmp_path, "swift-90", "--dataset", str(small_folder))
    assert done.returncode != 0
    assert done.stderr.count("fittingroom: ") == 1
    assert "batch norm needs the whole batch" in done.stderr
    assert 'fittingroom/cli/main.py", line' not in done.stderr  # no traceback of ours
    assert not list(tmp_path.glob("runs/*/*/*"))


@pytest.mark.slow
def test_processes_with_different_runs_are_rejected(tmp_path: Path, small_folder: Path) -> None:
    """Only the seeds differ here, as in a command that contains the rank."""
    command = 'import os, sys; sys.argv += ["--seed", os.environ["RANK"]]; '
    command += "from fittingroom.cli.main import main; main()"
    (tmp_path / "command.py").write_text(command)
    program = (str(tmp_path / "command.py"), "fit")
    done = torchrun(
        tmp_path, "cnn-32", *settings(), "--dataset", str(small_folder), program=program
    )
    assert done.returncode != 0
    assert done.stderr.count("fittingroom: ") == 1
    assert "the processes were given different runs" in done.stderr
    assert not list(tmp_path.glob("runs/*/*/*"))


@pytest.mark.parametrize(("model", "folds"), [("knn", 0), ("cnn-32", 3)])
def test_several_processes_train_one_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, folds: int, small_folder: Path
) -> None:
    monkeypatch.setattr(distributed, "current", lambda: Group(0, 2))
    with pytest.raises(UsageError, match=f"fit {model} without torchrun"):
        fit_one.fit(small_folder, model, folds=folds, runs=tmp_path)


def unexpected(step: FitStep) -> None:
    pytest.fail(f"nothing is to be fitted or told, but there is {step}")


def test_the_first_process_fits_in_the_store_and_reports(
    tmp_path: Path, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = Mock(first=True, all_equal=lambda _: True, broadcast=lambda state: state)
    monkeypatch.setattr("fittingroom.execution.together.current", lambda: group)
    spec, store = spec_of(small, "mlp-10-10", settings={"epochs": 2}), open_store(tmp_path, small)
    steps: list[FitStep] = []
    run = fit_together(spec, small, store, on_step=steps.append)
    assert [(step.done, step.total) for step in steps] == [(1, 2), (2, 2)]
    assert run.folder == store.folder / spec.path
    assert fit_together(spec, small, store, on_step=unexpected).folder == run.folder


def test_the_others_fit_in_a_temporary_folder_and_report_nothing(
    tmp_path: Path, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With copies of the first one's runs and checkpoints, which may be on another machine."""
    spec, store = spec_of(small, "mlp-10-10", settings={"epochs": 2}), open_store(tmp_path, small)
    first = fit(spec, small, open_store(tmp_path / "first", small))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "node"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "node").mkdir()
    sent = iter([pack([first], models=False), b""])
    group = Mock(first=False, all_equal=lambda _: True, broadcast=lambda _: next(sent))
    monkeypatch.setattr("fittingroom.execution.together.current", lambda: group)
    run = fit_together(spec, small, store, on_step=unexpected)
    assert run.record == first.record
    assert next(sent, None) is None
    assert store.runs() == []
    assert not list((tmp_path / "node").iterdir())


def test_every_process_gets_all_checkpoints_that_may_be_resumed(
    tmp_path: Path, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full run's reference run may have been interrupted too, with the test split or without."""
    store = open_store(tmp_path, small)
    spec = spec_of(small, "mlp-10-10", settings={"epochs": 2}, full=True)
    for training in (spec, *spec.references):
        path = store.checkpoint_path(training)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(training.key.encode())
    sent: list[bytes] = []

    def send(state: bytes) -> bytes:
        sent.append(state)
        return state

    group = Mock(first=True, all_equal=lambda _: True, broadcast=send)
    monkeypatch.setattr("fittingroom.execution.together.current", lambda: group)
    monkeypatch.setattr("fittingroom.execution.together.fit", lambda *_, **__: None)
    fit_together(spec, small, store, on_step=lambda _: None)
    assert sent == [pack([]), *(each.key.encode() for each in (spec, *spec.references))]
