"""`Attempt`: how a spec ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fittingroom.errors import DataError, FittingroomError, NotFiniteError, StoreError
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec

#: `interrupted`: through no fault of the fit, which may succeed another time. `stopped`: by whoever
#: watched it. `unreadable`: there is a saved run, but it can't be used.
Status = Literal[
    "ok",
    "failed",
    "timeout",
    "out-of-memory",
    "nan",
    "interrupted",
    "stopped",
    "unreadable",
]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How a spec ended: with its run, or for a reason.

    `run` is None if the fit didn't succeed, and until it is read from the store.
    """

    spec: RunSpec
    status: Status
    reason: str | None = None
    run: Run | None = None


def failed(spec: RunSpec, error: Exception) -> Attempt:
    """The attempt that ended with an error."""
    if isinstance(error, NotFiniteError):
        return Attempt(spec=spec, status="nan", reason=str(error))
    if isinstance(error, MemoryError):
        return Attempt(spec=spec, status="out-of-memory", reason=f"out of memory: {error}")
    if isinstance(error, DataError | StoreError):  # the fit itself may be sound
        return Attempt(spec=spec, status="interrupted", reason=str(error))
    if isinstance(error, FittingroomError):
        return Attempt(spec=spec, status="failed", reason=str(error))
    return Attempt(spec=spec, status="failed", reason=one_line(error))


def one_line(error: BaseException) -> str:
    """The type of an unexpected error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])


@dataclass(frozen=True, kw_only=True)
class FitStep:
    """A finished epoch of a training, or a finished fold of a cross-validation.

    Attributes
    ----------
    done, total : how many are finished, and how many there will be at most
    accuracy : on the images that are watched; None if none are
    """

    done: int
    total: int
    accuracy: float | None = None
    unit: Literal["epoch", "fold", "step"] = "epoch"
