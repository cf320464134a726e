from __future__ import annotations

import pytest

from fittingroom.bench.progress import Progress
from fittingroom.cli.progress import ProgressDisplay


def step(kind: str, done: int, **detail: object) -> Progress:
    return Progress(
        kind=kind,  # type: ignore[arg-type]
        model="swift",
        seed=1,
        done=done,
        total=2,
        expected=60.0,
        detail=detail,
    )


def test_away_from_a_terminal_there_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_saved_run_is_told_from_a_fitted_one(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay({"swift": (1, None)}) as display:
        display(step("saved", 1))
    assert capsys.readouterr().err.splitlines() == ["[1/2] swift seed 1: already saved"]
