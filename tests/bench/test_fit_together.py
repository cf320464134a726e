from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.fit_one import fit_one
from fittingroom.errors import UsageError
from fittingroom.runs.store import find_store
from fittingroom.training import distributed
from fittingroom.training.checkpoint import Checkpoint
from fittingroom.training.distributed import Group

SMALL = Path(__file__).parents[1] / "data" / "fashion-mnist-small"
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
    """The same runs, but for rounding and for what tells how they were made."""
    ours, theirs = find_store(together).runs(), find_store(alone).runs()
    assert [run.folder.name for run in ours] == [run.folder.name for run in theirs]
    for two, one in zip(ours, theirs, strict=True):
        assert two.record.environment["processes"] == 2
        assert "processes" not in one.record.environment
        for part in ("test", "validation"):
            if (expected := getattr(one, part)) is not None:
                found = getattr(two, part).probabilities
                np.testing.assert_allclose(found, expected.probabilities, atol=1e-4)


def fit_alone(folder: Path, **options: Any) -> None:
    fit_one(
        SMALL, "cnn-32", overrides=SETTINGS, runs=folder, on_progress=lambda step: None, **options
    )


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.slow
def test_two_processes_save_one_run_which_is_that_of_one(tmp_path: Path) -> None:
    done = torchrun(tmp_path, "cnn-32", *settings(), "--dataset", str(SMALL), "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("seed 0: fitting") == 1
    assert done.stderr.count("seed 0: done") == 1
    assert json.loads(done.stdout)["environment"]["processes"] == 2
    assert not list(tmp_path.glob("runs/*/*/.*"))
    fit_alone(tmp_path / "alone")
    assert_same(tmp_path / "runs", tmp_path / "alone")


@pytest.mark.slow
def test_on_all_images_the_twin_is_fitted_together_too_or_taken(tmp_path: Path) -> None:
    """Where only the first process has it, the others must not fit it."""
    full = (*settings(), "--full", "--dataset", str(SMALL))
    assert torchrun(tmp_path, "cnn-32", *full).returncode == 0
    fit_alone(tmp_path / "alone", full=True)
    assert_same(tmp_path / "runs", tmp_path / "alone")
    (all_images,) = (run for run in find_store(tmp_path / "runs").runs() if run.record.asked.full)
    shutil.rmtree(all_images.folder)
    assert torchrun(tmp_path, "cnn-32", *full).returncode == 0
    assert_same(tmp_path / "runs", tmp_path / "alone")
    again = torchrun(tmp_path, "cnn-32", *full)
    assert again.returncode == 0, again.stderr
    assert "already saved" in again.stderr


STOPPING = """
import os
from fittingroom.cli.main import main
from fittingroom.runs import fit
from fittingroom.training.checkpoint import Checkpoint

class Stopping(Checkpoint):
    def __init__(self, path):
        super().__init__(path, interval=0)

    def write(self, state):
        super().write(state)
        os._exit(1)

fit.Checkpoint = Stopping
main()
"""


@pytest.mark.slow
def test_a_training_that_was_killed_goes_on_in_all_processes(tmp_path: Path) -> None:
    """The others are given the first one's checkpoint; one that isn't would end all."""
    (tmp_path / "stopping.py").write_text(STOPPING)
    asked = ("cnn-32", *settings(), "--set", "epochs=2", "--dataset", str(SMALL))
    stopped = torchrun(tmp_path, *asked, program=(str(tmp_path / "stopping.py"), "fit"))
    assert stopped.returncode != 0
    (checkpoint,) = tmp_path.glob("runs/*/*/.checkpoint-*")
    state = Checkpoint(checkpoint).read()
    assert state is not None
    done = torchrun(tmp_path, *asked)
    assert done.returncode == 0, done.stderr
    (run,) = find_store(tmp_path / "runs").runs()
    assert len(run.history) == 2
    assert [vars(run.history[0])] == state.facts["history"]  # its seconds are those of then
    assert not checkpoint.exists()


@pytest.mark.slow
def test_what_processes_can_not_share_is_one_sentence(tmp_path: Path) -> None:
    done = torchrun(tmp_path, "swift-90", "--dataset", str(SMALL))
    assert done.returncode != 0
    assert done.stderr.count("fittingroom: ") == 1
    assert "batch norm looks at a whole batch" in done.stderr
    assert 'fittingroom/cli/main.py", line' not in done.stderr  # no traceback of ours
    assert not list(tmp_path.glob("runs/*/*/*"))


@pytest.mark.slow
def test_processes_that_were_asked_for_different_runs_are_refused(tmp_path: Path) -> None:
    """Seeds alone differ here, as with a command that has the rank in it."""
    command = 'import os, sys; sys.argv += ["--seed", os.environ["RANK"]]; '
    command += "from fittingroom.cli.main import main; main()"
    (tmp_path / "command.py").write_text(command)
    program = (str(tmp_path / "command.py"), "fit")
    done = torchrun(tmp_path, "cnn-32", *settings(), "--dataset", str(SMALL), program=program)
    assert done.returncode != 0
    assert done.stderr.count("fittingroom: ") == 1
    assert "the processes were asked for different runs" in done.stderr
    assert not list(tmp_path.glob("runs/*/*/*"))


@pytest.mark.parametrize(("model", "folds"), [("knn", 0), ("cnn-32", 3)])
def test_several_processes_train_one_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, folds: int
) -> None:
    monkeypatch.setattr(distributed, "current", lambda: Group(0, 2))
    with pytest.raises(UsageError, match=f"train one network together; {model} is fitted by one"):
        fit_one(
            SMALL, model, overrides={}, folds=folds, runs=tmp_path, on_progress=lambda step: None
        )
