"""Progress on stderr: a live bar with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import deque

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from fittingroom.bench.cells import duration
from fittingroom.bench.progress import Progress as Step

_LINE_EVERY = 30.0  # seconds between plain lines about epochs


class ProgressDisplay:
    """Shows the steps it is called with; use it as a context manager."""

    def __init__(self, plan: dict[str, tuple[int, float | None]] | None = None) -> None:
        """`plan`: of each model the runs to be made and the seconds that one should take."""
        self._console = Console(stderr=True, highlight=False)
        self._live = self._console.is_terminal
        self._left: deque[float] = deque(
            seconds or 60.0 for runs, seconds in (plan or {}).values() for _ in range(runs)
        )
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, left="")
        # How this machine compares with the one that the catalogue's seconds come from.
        self._expected_so_far = self._spent_so_far = 0.0
        self._started = time.monotonic()
        self._last_line = 0.0
        self._fraction = 0.0
        self._running = False

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
            self._started, self._fraction, self._running = time.monotonic(), 0.0, True
            expected = f", usually {duration(step.expected)}" if step.expected else ""
            self._line(f"[{step.done + 1}/{step.total}] {name}: fitting{expected}")
            self._show(step, name)
        elif step.kind == "epoch":
            self._epoch(step, name)
        else:
            self._ended(step, name)

    def _epoch(self, step: Step, name: str) -> None:
        epoch, epochs = step.detail["epoch"], step.detail["epochs"]
        unit = step.detail.get("unit", "epoch")
        self._fraction = epoch / epochs
        self._show(step, f"{name} {unit} {epoch}/{epochs}")
        if not self._live and time.monotonic() - self._last_line > _LINE_EVERY:
            left = (time.monotonic() - self._started) * (1 / self._fraction - 1)
            accuracy = step.detail["validation_accuracy"]
            figure = "" if accuracy is None else f", validation accuracy {accuracy:.4f}"
            self._line(f"    {unit} {epoch}/{epochs}{figure}, about {duration(left)} left")

    def _ended(self, step: Step, name: str) -> None:
        seconds = time.monotonic() - self._started
        count, note = f"[{step.done}/{step.total}]", f"; {step.note}" if step.note else ""
        expected = self._left[0] if self._left else step.expected or 60.0
        while len(self._left) > step.total - step.done:
            self._left.popleft()
        if step.kind == "failed":
            self._console.print(
                f"{count} {name}: {step.detail['reason']}", markup=False, soft_wrap=True
            )
        elif self._running:
            self._spent_so_far += seconds
            self._expected_so_far += expected
            self._line(f"{count} {name}: done in {duration(seconds)}{self._rest()}{note}")
        else:
            self._line(f"{count} {name}: already saved{note}")
        self._running, self._fraction = False, 0.0
        self._show(step, name)

    def _show(self, step: Step, description: str) -> None:
        self._bar.update(
            self._task,
            description=description,
            completed=step.done + self._fraction,
            total=step.total,
            left=self._rest().lstrip(", "),
        )

    def _rest(self) -> str:
        """The time left, from the catalogue's seconds scaled by what was seen so far."""
        if not self._left:
            return ""
        scale = self._spent_so_far / self._expected_so_far if self._expected_so_far else 1.0
        left = scale * (sum(self._left) - self._fraction * self._left[0])
        return f", about {duration(left)} left"

    def _line(self, text: str) -> None:
        if not self._live:
            self._console.print(text, markup=False, soft_wrap=True)
            self._last_line = time.monotonic()
