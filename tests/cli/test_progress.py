from __future__ import annotations

import contextlib
import logging
import os
import re
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fittingroom.bench.progress import Progress
from fittingroom.cli.main import _Messages
from fittingroom.cli.progress import ProgressDisplay
from fittingroom.runs.attempt import FitStep


def step(kind: str, done: int, model: str = "swift", **details: Any) -> Progress:
    return Progress(
        kind=kind,  # type: ignore[arg-type]
        model=model,
        seed=1,
        done=done,
        total=2,
        expected=60.0,
        **details,
    )


def test_without_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay({"swift": (2, 60.0)}) as display:
        display(step("started", 0))
        display(step("saved", 1))
        display(step("started", 1))
        display(step("failed", 2, reason="the loss became nan in epoch 3"))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "[1/2] swift seed 1: fitting, usually 1 min"
    assert lines[1].startswith("[1/2] swift seed 1: done in 0")
    assert lines[1].endswith(" left")
    assert lines[3] == "[2/2] swift seed 1: the loss became nan in epoch 3"


def test_a_saved_run_differs_from_a_fitted_one(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay({"swift": (1, None)}) as display:
        display(step("saved", 1))
    assert capsys.readouterr().err.splitlines() == ["[1/2] swift seed 1: already saved"]


def test_concurrent_runs_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("fittingroom.cli.progress.time.monotonic", lambda: now[0])

    def progress(kind: str, model: str, seed: int, done: int, **details: Any) -> Progress:
        return Progress(
            kind=kind,  # type: ignore[arg-type]
            model=model,
            seed=seed,
            done=done,
            total=5,
            at_once=2,
            expected=60.0,
            **details,
        )

    with ProgressDisplay({"swift": (3, 60.0), "knn": (2, 60.0)}) as display:
        display(progress("started", "swift", 0, 0))
        display(progress("started", "swift", 1, 0))
        now[0] += 40
        display(progress("step", "swift", 1, 0, step=FitStep(done=1, total=2, accuracy=0.9)))
        now[0] += 20
        display(progress("saved", "swift", 1, 1))
        display(progress("failed", "swift", 0, 3, reason="seed 2 is not begun"))
        display(progress("started", "knn", 0, 3))
    assert capsys.readouterr().err.splitlines() == [
        "[1/5] swift seed 0: fitting, usually 1 min",
        "[2/5] swift seed 1: fitting, usually 1 min",
        "    swift seed 1 epoch 1/2, validation accuracy 0.9000, about 40 s left",
        # Four minutes are left, which two processes share.
        "[1/5] swift seed 1: done in 1 min, about 2 min left",
        "[3/5] swift seed 0: seed 2 is not begun",
        "[4/5] knn seed 0: fitting, usually 1 min",
    ]


def test_runs_outside_the_plan_count_for_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the trials of a search; a failed trial doesn't end the others."""
    now = [100.0]
    monkeypatch.setattr("fittingroom.cli.progress.time.monotonic", lambda: now[0])

    def progress(kind: str, trial: int, done: int, **details: Any) -> Progress:
        return Progress(
            kind=kind,  # type: ignore[arg-type]
            model=f"knn trial {trial}",
            seed=0,
            done=done,
            total=4,
            **details,
        )

    with ProgressDisplay({"knn": (50, 60.0)}) as display:  # more than the search's four
        for trial in range(3):
            display(progress("started", trial, trial))
            now[0] += 60
            if trial == 1:
                display(progress("failed", trial, trial + 1, reason="diverged"))
            else:
                display(progress("saved", trial, trial + 1))
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "[1/4] knn trial 0 seed 0: done in 1 min, about 3 min left"
    assert lines[3] == "[2/4] knn trial 1 seed 0: diverged"
    assert lines[5] == "[3/4] knn trial 2 seed 0: done in 1 min, about 1 min left"


def test_one_short_run_hardly_changes_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("fittingroom.cli.progress.time.monotonic", lambda: now[0])

    def left(plan: dict[str, tuple[int, float | None]], ended: list[tuple[str, float]]) -> str:
        total = sum(runs for runs, _ in plan.values())
        with ProgressDisplay(plan) as display:
            for done, (model, seconds) in enumerate(ended):
                fields: dict[str, Any] = {"model": model, "seed": done, "total": total}
                display(Progress(kind="started", done=done, **fields))
                now[0] += seconds
                display(Progress(kind="saved", done=done + 1, **fields))
        return capsys.readouterr().err.splitlines()[-1].rpartition("about ")[2]

    plan: dict[str, tuple[int, float | None]] = {"logistic": (1, 2.0), "swift": (3, 60.0)}
    assert left(plan, [("logistic", 2.0)]) == "3 min left"
    # Ten times as long as expected: of three minutes, two seconds.
    assert left(plan, [("logistic", 20.0)]) == "3 min 23 s left"
    # What has been measured counts for the same model's other seeds.
    assert left(plan, [("swift", 90.0)]).startswith("3 min 3 s")


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Callable[[], str]]]:
    """Make standard error a terminal of so many columns; returns what closes and reads it."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    masters: list[int] = []

    def make(columns: int) -> Callable[[], str]:
        import fcntl  # not on Windows
        import termios

        master, slave = os.openpty()
        masters.append(master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        screen = os.fdopen(slave, "w", encoding="utf8")
        monkeypatch.setattr(sys, "stderr", screen)
        read: list[bytes] = []

        def listen() -> None:  # in a thread: an unread terminal blocks after 4 KB
            with contextlib.suppress(OSError):  # the other side was closed
                while received := os.read(master, 1 << 16):
                    read.append(received)

        reader = threading.Thread(target=listen)
        reader.start()

        def sent() -> str:
            screen.close()
            reader.join()
            return b"".join(read).decode("utf8")

        return sent

    yield make
    for master in masters:
        os.close(master)


def show_comparison() -> None:
    """Every kind of step, with a message of the library in between."""
    name = "swift[epochs=2]"
    with ProgressDisplay({name: (2, 60.0)}) as display:
        display(step("started", 0, name))
        logging.getLogger("fittingroom.data").warning("passing over a copy")
        display(step("step", 0, name, step=FitStep(done=1, total=2, accuracy=0.9)))
        time.sleep(0.3)  # a bar is drawn ten times a second
        display(step("saved", 1, name))
        display(step("started", 1, name))
        display(step("failed", 2, name, reason="the loss became nan in epoch 3"))


@pytest.mark.parametrize("columns", [20, 80, 200])
def test_a_terminal_has_a_bar(
    columns: int, on_terminal: Callable[[int], Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = on_terminal(columns)
    logger = logging.getLogger("fittingroom.data")
    monkeypatch.setattr(logger, "handlers", [_Messages()])
    show_comparison()
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sent())
    assert "━" in plain
    for text in (
        "passing over a copy",
        "[2/2] swift[epochs=2] seed 1: the loss became nan in epoch 3",
    ):
        assert text in (line.strip() for line in plain.replace("\r", "\n").split("\n"))
    if columns > 20:
        assert "swift[epochs=2] seed 1 epoch 1/2" in plain
        assert re.search(r" 0/2 +0:00:0\d +about \d", plain)
        assert all(len(line) <= columns for line in re.split(r"[\r\n]+", plain))


@pytest.mark.parametrize("variable", ["NO_COLOR", "FORCE_COLOR"])
def test_colours_follow_the_environment(
    variable: str,
    on_terminal: Callable[[int], Callable[[], str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, "1")
    show_comparison()  # to a file: no live bar, colours or not
    assert "\x1b[?25l" not in capsys.readouterr().err
    sent = on_terminal(80)
    show_comparison()
    coloured = re.search(r"\x1b\[[0-9;]*3[0-9]", sent()) is not None
    assert coloured == (variable == "FORCE_COLOR")


def test_a_dumb_terminal_has_plain_lines(
    on_terminal: Callable[[int], Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    sent = on_terminal(80)
    show_comparison()
    text = sent()
    assert "\x1b" not in text
    assert "[1/2] swift[epochs=2] seed 1: done in" in text
