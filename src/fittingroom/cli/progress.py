"""Progress on stderr: a live bar with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fittingroom.bench.progress import Progress as Step
from fittingroom.cli import output
from fittingroom.formatting import duration
from fittingroom.printable import printable
from fittingroom.runs.attempt import FitStep

_LINE_EVERY = 30.0  # seconds between plain lines about epochs
#: Weight of the expected times against what has been measured, as a share of the whole plan.
PRIOR = 0.2


@dataclass
class _Running:
    """A run in progress, and the entry of the plan that it counts for."""

    entry: str
    started: float
    fraction: float = 0.0


class _Speed:
    """How many times longer runs take here than expected: a weighted geometric mean.

    Parameters
    ----------
    prior : weight in seconds of the assumption that they take as long as expected, without which
        one short run would change the estimate of all others
    """

    def __init__(self, prior: float) -> None:
        self._weight, self._sum = prior, 0.0

    def add(self, expected: float, seconds: float) -> None:
        self._weight += expected
        self._sum += expected * math.log(max(seconds, 0.01) / expected)

    @property
    def factor(self) -> float:
        return math.exp(self._sum / self._weight) if self._weight else 1.0


def can_animate(console: Console) -> bool:
    """Whether standard error can show a live bar: not a file, nor a dumb terminal.

    rich itself takes a file for a terminal if FORCE_COLOR is set.
    """
    return sys.stderr.isatty() and console.is_interactive and not output.quiet


@contextmanager
def busy(text: str) -> Iterator[None]:
    """On a terminal, show that something goes on whose end isn't known, such as drawing a page."""
    console = Console(stderr=True, highlight=False)
    if not can_animate(console):
        yield
        return
    with console.status(text):
        yield


class ProgressDisplay:
    """Shows the steps that it is called with; a context manager."""

    def __init__(self, plan: dict[str, tuple[int, float | None]] | None = None) -> None:
        """`plan`: for each model, the number of runs and the expected seconds of one.

        A run whose model isn't in the plan, such as a trial, counts for the first unfinished entry.
        """
        self._console = Console(stderr=True, highlight=False)
        self._live = can_animate(self._console)
        self._expected = {model: seconds or 60.0 for model, (_, seconds) in (plan or {}).items()}
        self._runs_left = {model: runs for model, (runs, _) in (plan or {}).items()}
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),  # cnn-32[epochs=3] is a name
            BarColumn(bar_width=24),
            MofNCompleteColumn(),  # also shows tasks without a total
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, left="")
        self._speed = _Speed(PRIOR * sum(n * (s or 60.0) for n, s in (plan or {}).values()))
        self._spent: dict[str, list[float]] = {}  # seconds of the finished runs by entry
        self._last_line = 0.0
        self._ended = ""  # how many runs have
        self._running: dict[tuple[str, int], _Running] = {}

    def __enter__(self) -> ProgressDisplay:
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._live:
            self._bar.stop()
        if error is KeyboardInterrupt:
            output.warn(f"interrupted; {self._ended}the same command resumes from there.")

    def __call__(self, step: Step) -> None:
        if step.total > 1:
            self._ended = f"{step.done} of {step.total} runs have ended and are kept; "
        name = f"{step.model} seed {step.seed}"
        if step.kind == "started":
            running = _Running(self._entry(step.model), time.monotonic())
            self._running[step.model, step.seed] = running
            expected = f", usually {duration(step.expected)}" if step.expected else ""
            number = step.done + len(self._running)
            self._line(f"[{number}/{step.total}] {name}: fitting{expected}")
            self._show(step, name)
        elif step.step is not None:
            self._show_step(step, step.step, name)
        else:
            self._show_end(step, name)

    def _show_step(self, step: Step, fit: FitStep, name: str) -> None:
        running = self._running[step.model, step.seed]
        running.fraction = fit.done / fit.total
        position = f"{fit.unit} {fit.done}/{fit.total}"
        self._show(step, f"{name} {position}")
        if not self._live and time.monotonic() - self._last_line > _LINE_EVERY:
            left = (time.monotonic() - running.started) * (1 / running.fraction - 1)
            accuracy = "" if fit.accuracy is None else f", validation accuracy {fit.accuracy:.4f}"
            prefix = f"{name} " if len(self._running) > 1 else ""
            self._line(f"    {prefix}{position}{accuracy}, about {duration(left)} left")

    def _show_end(self, step: Step, name: str) -> None:
        count, note = f"[{step.done}/{step.total}]", f"; {step.note}" if step.note else ""
        running = self._running.pop((step.model, step.seed), None)
        entry = running.entry if running else self._entry(step.model)
        failed = step.kind == "failed"
        if failed and entry == step.model:
            # After a failure, a model gets no more runs than those in progress.
            self._runs_left[entry] = sum(run.entry == entry for run in self._running.values())
        else:
            for _ in range(step.runs):  # they may count for different entries
                counted = running.entry if running else self._entry(step.model)
                self._runs_left[counted] = self._runs_left.get(counted, 1) - 1
        if failed:
            reason = printable(f"{count} {name}: {step.reason}")
            self._console.print(reason, markup=False, soft_wrap=True)
        elif running is not None:
            seconds = time.monotonic() - running.started
            self._speed.add(self._expected.get(entry, 60.0), seconds)
            self._spent.setdefault(entry, []).append(seconds)
            self._line(f"{count} {name}: done in {duration(seconds)}{self._time_left(step)}{note}")
        else:
            self._line(f"{count} {name}: already saved{note}")
        if self._live and step.note:
            self._console.print(printable(f"{step.model}: {step.note}"), markup=False)
        self._show(step, name)

    def _show(self, step: Step, description: str) -> None:
        self._bar.update(
            self._task,
            description=description,
            completed=step.done + sum(running.fraction for running in self._running.values()),
            total=step.total,
            left=self._time_left(step).lstrip(", "),
        )

    def _time_left(self, step: Step) -> str:
        """The time left, of runs that haven't ended yet."""
        if not self._expected:
            return ""
        running = self._running.values()
        in_progress = [self._rest(run) for run in running]
        # A search may end before its plan does.
        n_waiting = max(0, step.total - step.done - len(running))
        waiting = 0.0
        for model, runs in self._runs_left.items():
            count = min(max(0, runs - sum(run.entry == model for run in running)), n_waiting)
            waiting += count * self._seconds(model)
            n_waiting -= count
        shared = (sum(in_progress) + waiting) / step.at_once
        left = max([shared, *in_progress])  # no run is split among processes
        return f", about {duration(left)} left"

    def _rest(self, run: _Running) -> float:
        """The seconds that a run in progress still takes."""
        if run.fraction < 0.1:
            return (1 - run.fraction) * self._seconds(run.entry)
        return (time.monotonic() - run.started) * (1 / run.fraction - 1)

    def _entry(self, model: str) -> str:
        if model in self._runs_left:
            return model
        return next((name for name, runs in self._runs_left.items() if runs > 0), model)

    def _seconds(self, model: str) -> float:
        """The seconds of a run: those of the model's finished ones, or the plan's at our speed."""
        if spent := self._spent.get(model):
            return sum(spent) / len(spent)
        return self._speed.factor * self._expected.get(model, 60.0)

    def _line(self, text: str) -> None:
        if not self._live and not output.quiet:
            self._console.print(text, markup=False, soft_wrap=True)
            self._last_line = time.monotonic()
