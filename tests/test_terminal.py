"""Every command in a terminal, where progress is drawn and people press keys."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from fittingroom.cli.main import COMMANDS
from fittingroom.data.dataset import Dataset

Terminals = Callable[..., Any]
SMALL = str(Path(__file__).parent / "data" / "fashion-mnist-small")
ON_SMALL = ("--dataset", SMALL)

#: What is typed, where {run} is a saved run's folder.
TYPED: dict[str, tuple[str, ...]] = {
    "data": (SMALL, "--report", "data.html"),
    "models": (),
    "fit": ("logistic", *ON_SMALL, "--json"),
    "compare": ("--models", "knn,logistic", "--seeds", "1", "--format", "md", *ON_SMALL),
    "tune": ("knn", "--set", "n_neighbors=1|3", "--trials", "2", "--no-test", *ON_SMALL),
    "report": ("runs",),
    "runs": ("knn",),
    "verify": ("s2-knn", "--seeds", "1", *ON_SMALL),
    "predict": ("{run}", "photo.png", "--show", "seen.png"),
    "add": ("theirs", "theirs.npz", *ON_SMALL),
    "export": ("{run}", "--dataset", SMALL),
    "doctor": (),
}


def test_every_command_is_tried() -> None:
    assert set(TYPED) == set(COMMANDS) - {"serve"}  # which doesn't end by itself


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, small: Dataset) -> Path:
    """A folder with a saved run, a photo and predictions from elsewhere."""
    from PIL import Image

    from fittingroom.runs.fit import fit
    from fittingroom.runs.spec import spec_of
    from fittingroom.runs.store import open_store

    folder = tmp_path_factory.mktemp("begun")
    fit(spec_of(small, "knn"), small, open_store(folder / "runs", small))
    Image.fromarray(small.test.images[0]).save(folder / "photo.png")
    np.savez(folder / "theirs.npz", labels=np.zeros(len(small.test), int))
    return folder


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(name, marks=[] if name in ("compare", "report") else pytest.mark.slow)
        for name in TYPED
    ],
)
def test_every_command_runs(command: str, begun: Path, tmp_path: Path, terminal: Terminals) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(begun, folder)
    (run,) = folder.glob("runs/*/knn/*")
    typed = [argument.format(run=run) for argument in TYPED[command]]
    screen = terminal(command, *typed, folder=folder)
    code = screen.wait()
    assert "Traceback" not in screen.text, screen.text
    assert code == 0, screen.text
    waits = command not in ("models", "runs", "predict", "doctor")
    assert ("\x1b[" in screen.text) == waits  # something moves where there is something to wait for


@pytest.mark.slow
def test_a_dumb_terminal_gets_plain_lines(terminal: Terminals) -> None:
    screen = terminal("fit", "knn", *ON_SMALL, TERM="dumb")
    assert screen.wait() == 0, screen.text
    assert "\x1b" not in screen.text
    assert "[1/1] knn seed 0: done in" in screen.text


def long_fit(terminal: Terminals) -> Any:
    """A fit of an hour, seen to be under way."""
    screen = terminal("fit", "mlp-10-10", "--set", "epochs=100000", *ON_SMALL)
    screen.wait_for("mlp-10-10[epochs=100000] seed 0 epoch ")
    return screen


def test_a_terminal_may_change_its_size_and_ctrl_c_ends_a_fit(
    terminal: Terminals, tmp_path: Path
) -> None:
    screen = long_fit(terminal)
    for columns in (30, 132):
        screen.resize(columns)
        time.sleep(0.3)
    children = psutil.Process(screen.process.pid).children(recursive=True)
    screen.type(b"\x03")
    assert screen.wait(30) == 130, screen.text
    assert "Traceback" not in screen.text
    assert children
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert not list(tmp_path.rglob(".partial-*"))


@pytest.mark.slow
def test_closing_the_terminal_ends_a_fit(terminal: Terminals) -> None:
    screen = long_fit(terminal)
    processes = [psutil.Process(screen.process.pid)]
    processes += processes[0].children(recursive=True)
    screen.close()
    screen.process.wait(30)
    assert not psutil.wait_procs(processes, timeout=10)[1]
