"""Progress of fits, for a display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.spec import RunSpec


class Watcher(Protocol):
    """Gets notified of a bench's fits."""

    def started(self, spec: RunSpec) -> None:
        """A fit began."""

    def stepped(self, spec: RunSpec, step: FitStep) -> bool:
        """An epoch or a fold is done. Returns whether to stop the fit."""


Kind = Literal["started", "step", "saved", "failed"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One step of the progress.

    Attributes
    ----------
    kind : a run was `started`, finished an epoch or a fold (`step`), was `saved` (now or before),
        or `failed`
    model, seed : of the run
    done, total : number of runs; `at_once` are fitted in parallel
    runs : how many runs this step ends
    expected : the catalogue's estimate of the run's seconds
    step : the epoch or fold
    reason : why a run failed
    note : a remark on a saved run
    """

    kind: Kind
    model: str
    seed: int
    done: int
    total: int
    runs: int = 1
    at_once: int = 1
    expected: float | None = None
    step: FitStep | None = None
    reason: str | None = None
    note: str = ""


OnProgress = Callable[[Progress], None]


class Reporter:
    """A `Watcher` that turns events of a bench into `Progress` and stops nothing.

    Parameters
    ----------
    tell : called with each step
    total, done : number of runs in all, and of those already done
    at_once : how many are fitted in parallel
    name : a spec's name on the display
    expected : the expected seconds of its fit
    """

    def __init__(
        self,
        tell: OnProgress | None,
        *,
        total: int,
        done: int = 0,
        at_once: Callable[[], int] = lambda: 1,
        name: Callable[[RunSpec], str] = lambda spec: spec.label,
        expected: Callable[[RunSpec], float | None] = lambda _: None,
    ) -> None:
        self._tell = tell or (lambda _: None)
        self._at_once, self._name, self._expected = at_once, name, expected
        self.done, self.total = done, total

    def started(self, spec: RunSpec) -> None:
        self._report("started", spec)

    def stepped(self, spec: RunSpec, step: FitStep) -> bool:
        self._report("step", spec, step=step)
        return False

    def ended(
        self, attempt: Attempt, *, runs: int = 1, reason: str | None = None, note: str = ""
    ) -> None:
        """A spec ended, and `runs` runs with it."""
        self.done = min(self.done + runs, self.total)
        kind: Kind = "saved" if attempt.status == "ok" else "failed"
        why = reason or attempt.reason
        self._report(kind, attempt.spec, runs=runs, reason=why, note=note)

    def skipped(self, name: str, runs: int, *, seed: int = 0, reason: str | None = None) -> None:
        """Runs that need no fit: they are saved, or left out for a reason."""
        self.done = min(self.done + runs, self.total)
        kind: Kind = "failed" if reason else "saved"
        self._tell(self._progress(kind, name, seed, runs=runs, reason=reason))

    def _report(self, kind: Kind, spec: RunSpec, **details: Any) -> None:
        name, expected = self._name(spec), self._expected(spec)
        self._tell(self._progress(kind, name, spec.seed, expected=expected, **details))

    def _progress(self, kind: Kind, model: str, seed: int, **details: Any) -> Progress:
        return Progress(
            kind=kind,
            model=model,
            seed=seed,
            done=self.done,
            total=self.total,
            at_once=self._at_once(),
            **details,
        )
