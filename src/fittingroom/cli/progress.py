"""Progress on stderr: a live bar with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fittingroom.bench.progress import Progress as Step
from fittingroom.formatting import duration
from fittingroom.printable import printable
from fittingroom.runs.attempt import FitStep

_LINE_EVERY = 30.0  # seconds between plain lines about epochs


@dataclass
class _Running:
    """A run under way, and the entry of the plan that it belongs to."""

    planned: str
    started: float
    fraction: float = 0.0


def can_animate(console: Console) -> bool:
    """Whether a bar may move on standard error: not in a file, nor on a dumb terminal.

    rich alone takes a file for a terminal where a variable says that colours are welcome.
    """
    return sys.stderr.isatty() and console.is_interactive


class ProgressDisplay:
    """Shows the steps it is called with; use it as a context manager."""

    def __init__(self, plan: dict[str, tuple[int, float | None]] | None = None) -> None:
        """`plan`: of each model the runs to be made and the seconds that one should take.

        Runs whose model isn't in it, such as trials, are those of its first entry that isn't done.
        """
        self._console = Console(stderr=True, highlight=False)
        self._live = can_animate(self._console)
        self._expected = {model: seconds or 60.0 for model, (_, seconds) in (plan or {}).items()}
        self._left = {model: runs for model, (runs, _) in (plan or {}).items()}
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),  # cnn-32[epochs=3] is a name
            BarColumn(bar_width=24),
            MofNCompleteColumn(),  # knows tasks whose total isn't known yet
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, left="")
        # How this machine compares with the one that the catalogue's seconds come from.
        self._expected_so_far = self._spent_so_far = 0.0
        self._last_line = 0.0
        self._running: dict[tuple[str, int], _Running] = {}

    def __enter__(self) -> ProgressDisplay:
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._bar.stop()

    def __call__(self, step: Step) -> None:
        name = f"{step.model} seed {step.seed}"
        if step.kind == "started":
            running = _Running(self._planned(step.model), time.monotonic())
            self._running[step.model, step.seed] = running
            expected = f", usually {duration(step.expected)}" if step.expected else ""
            number = step.done + len(self._running)
            self._line(f"[{number}/{step.total}] {name}: fitting{expected}")
            self._show(step, name)
        elif step.step is not None:
            self._stepped(step, step.step, name)
        else:
            self._ended(step, name)

    def _stepped(self, step: Step, fit: FitStep, name: str) -> None:
        running = self._running[step.model, step.seed]
        running.fraction = fit.done / fit.total
        where = f"{fit.unit} {fit.done}/{fit.total}"
        self._show(step, f"{name} {where}")
        if not self._live and time.monotonic() - self._last_line > _LINE_EVERY:
            left = (time.monotonic() - running.started) * (1 / running.fraction - 1)
            figure = "" if fit.accuracy is None else f", validation accuracy {fit.accuracy:.4f}"
            whose = f"{name} " if len(self._running) > 1 else ""
            self._line(f"    {whose}{where}{figure}, about {duration(left)} left")

    def _ended(self, step: Step, name: str) -> None:
        count, note = f"[{step.done}/{step.total}]", f"; {step.note}" if step.note else ""
        running = self._running.pop((step.model, step.seed), None)
        planned = running.planned if running else self._planned(step.model)
        failed = step.kind == "failed"
        if failed and planned == step.model:
            # A model that failed gets no further runs than those under way.
            self._left[planned] = sum(other.planned == planned for other in self._running.values())
        else:
            for _ in range(step.runs):  # several may be those of several entries
                entry = running.planned if running else self._planned(step.model)
                self._left[entry] = self._left.get(entry, 1) - 1
        if failed:
            reason = printable(f"{count} {name}: {step.reason}")
            self._console.print(reason, markup=False, soft_wrap=True)
        elif running is not None:
            seconds = time.monotonic() - running.started
            self._spent_so_far += seconds
            self._expected_so_far += self._seconds(planned)
            self._line(f"{count} {name}: done in {duration(seconds)}{self._rest(step)}{note}")
        else:
            self._line(f"{count} {name}: already saved{note}")
        self._show(step, name)

    def _show(self, step: Step, description: str) -> None:
        self._bar.update(
            self._task,
            description=description,
            completed=step.done + sum(running.fraction for running in self._running.values()),
            total=step.total,
            left=self._rest(step).lstrip(", "),
        )

    def _rest(self, step: Step) -> str:
        """The time left, from the catalogue's seconds scaled by what was seen so far."""
        if not self._expected:
            return ""
        running = self._running.values()
        under_way = [(1 - run.fraction) * self._seconds(run.planned) for run in running]
        # A search's plan may be more than it takes.
        at_most = max(0, step.total - step.done - len(running))
        to_come = 0.0
        for model, planned in self._left.items():
            count = min(max(0, planned - sum(run.planned == model for run in running)), at_most)
            to_come += count * self._seconds(model)
            at_most -= count
        shared = (sum(under_way) + to_come) / step.at_once
        left = max([shared, *under_way])  # none ends before its own time
        scale = self._spent_so_far / self._expected_so_far if self._expected_so_far else 1.0
        return f", about {duration(scale * left)} left"

    def _planned(self, model: str) -> str:
        if model in self._left:
            return model
        return next((name for name, left in self._left.items() if left > 0), model)

    def _seconds(self, model: str) -> float:
        return self._expected.get(model, 60.0)

    def _line(self, text: str) -> None:
        if not self._live:
            self._console.print(text, markup=False, soft_wrap=True)
            self._last_line = time.monotonic()
