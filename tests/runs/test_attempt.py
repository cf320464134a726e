from __future__ import annotations

import dataclasses

import pytest

from fittingroom.errors import (
    BundleError,
    DataError,
    FittingroomError,
    InputError,
    NotFiniteError,
    StoreError,
    TrainingError,
    UsageError,
)
from fittingroom.runs.attempt import Attempt, FitStep, failed, one_line
from fittingroom.runs.spec import RunSpec

SPEC = RunSpec(dataset="ab" * 32, model="knn", parameters={"k": 5})


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (NotFiniteError("the loss became nan in epoch 2."), "nan", "the loss became nan in"),
        (MemoryError("Unable to allocate 9 GiB"), "out-of-memory", "out of memory: Unable to"),
        (MemoryError(), "out-of-memory", "out of memory: "),
        (DataError("the data changed."), "interrupted", "the data changed."),
        (StoreError("the disk is full."), "interrupted", "the disk is full."),
        (TrainingError("it went wrong."), "failed", "it went wrong."),
        (UsageError("epochs must be a number."), "failed", "epochs must be a number."),
        (InputError("it has no classes_."), "failed", "it has no classes_."),
        (BundleError("it can't be kept."), "failed", "it can't be kept."),
        (FittingroomError("anything."), "failed", "anything."),
        (ValueError("two\nlines"), "failed", "ValueError: two"),
        (OSError(28, "No space left"), "failed", "OSError: [Errno 28] No space left"),
        (RuntimeError(), "failed", "RuntimeError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_error_says_how_an_attempt_ended(error: Exception, status: str, reason: str) -> None:
    attempt = failed(SPEC, error)
    assert attempt.status == status
    assert attempt.reason is not None
    assert attempt.reason.startswith(reason)
    assert attempt.spec is SPEC
    assert attempt.run is None


def test_an_unexpected_error_is_one_line() -> None:
    assert one_line(ValueError("\n first\nsecond")) == "ValueError: first"
    assert one_line(KeyError()) == "KeyError"
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_a_step_is_of_an_epoch_unless_it_says_otherwise() -> None:
    assert dataclasses.asdict(FitStep(done=1, total=3)) == {
        **{"done": 1, "total": 3, "accuracy": None, "unit": "epoch"}
    }


def test_attempts_are_equal_by_their_result() -> None:
    assert Attempt(spec=SPEC, status="ok") == Attempt(spec=SPEC, status="ok")
    assert Attempt(spec=SPEC, status="ok") != Attempt(spec=SPEC, status="stopped")
