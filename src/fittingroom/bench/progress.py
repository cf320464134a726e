"""What happens while models are fitted, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.spec import RunSpec


class Watcher(Protocol):
    """Follows the fits of a bench."""

    def started(self, spec: RunSpec) -> None:
        """A fit began."""

    def stepped(self, spec: RunSpec, step: FitStep) -> bool:
        """An epoch or a fold is done; whether the fit is to be stopped."""


Kind = Literal["started", "step", "saved", "failed"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A step of some work, for a display.

    Attributes
    ----------
    kind : a run was `started`, an epoch or a fold of it is done (`step`), it was `saved` (fitted
        now, or found), or it `failed`
    model, seed : the run's names
    done, total : runs, of which `at_once` are fitted at the same time
    runs : how many of them this step ends
    expected : the catalogue's estimate of the seconds that this run takes
    step : the epoch or fold
    reason : why a run failed
    note : what else is to be said of a run that was saved
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
    """Turns what happens in a bench into the steps of a display; a `Watcher` that stops nothing.

    Parameters
    ----------
    tell : gets each step
    total, done : how many runs there are to be, and are already
    at_once : how many are fitted at the same time
    name : what a spec is called
    expected : the seconds that its fit should take
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
        """A spec ended, and so many runs with it."""
        self.done = min(self.done + runs, self.total)
        kind: Kind = "saved" if attempt.status == "ok" else "failed"
        why = reason or attempt.reason
        self._report(kind, attempt.spec, runs=runs, reason=why, note=note)

    def skipped(self, name: str, runs: int, *, seed: int = 0, reason: str | None = None) -> None:
        """So many runs need no fit: they are saved, or for a reason they are left out."""
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
