"""Fit in a child process that has limits and dies with its parent.

The parent writes one job a line to the child's standard input and reads one event a line from its
standard output. The pipe is also the life line: at end of file the child leaves at once, so no fit
outlives the comparison that asked for it, however that ended.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import IO, Any

import psutil

from fittingroom.execution.job import Job, Limits
from fittingroom.models.catalog import row_of
from fittingroom.runs.attempt import Attempt, FitStep, Status

_POLL_SECONDS = 0.2
#: Modules are looked for where Python is installed and never in the working folder, which may have
#: been downloaded with the data; said to a child by -P, to what it starts in turn by this.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}
#: How often a waiting thread of GNU's OpenMP looks again before it sleeps. By default it looks for
#: so long that it takes the processor from our own threads between two products of a network;
#: nearest neighbours, which have none in between, are slower by far where it sleeps.
SPIN = "1000"
#: The module that a child runs.
CHILD = "fittingroom.execution.child"


class FitProcess:
    """A child process that fits one job after the other; use it as a context manager.

    Networks have one of their own, since what is best for them must be said when it starts.

    Parameters
    ----------
    limits
        Of each job.
    threads
        How many the child computes with; None leaves it to the libraries and their variables.
    """

    def __init__(self, limits: Limits, *, threads: int | None = None) -> None:
        self._limits = limits
        # What OpenMP, BLAS, PyTorch and scikit-learn-intelex go by, whatever was set outside.
        self._threads = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
        self._process: subprocess.Popen[str] | None = None
        self._environment: dict[str, str] = {}
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._stderr: IO[bytes] | None = None

    def __enter__(self) -> FitProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fit(
        self,
        job: Job,
        on_step: Callable[[FitStep], None],
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> Attempt:
        """Fit one job; `on_step` gets each of its steps.

        `is_stopped` is asked now and then; where it says so the child is ended.
        Whatever becomes of the fit raises nothing; what `on_step` raises, or the start of a child,
        is raised.
        """
        try:
            self._send(job)
            for event in self._until_done(is_stopped):
                kind = event.pop("event")
                if kind == "step":
                    on_step(FitStep(**event))
                elif kind == "end":
                    return Attempt(spec=job.spec, **event)
            status, reason = self._crashed()
        except _LimitError as limit:
            self.stop()
            status, reason = limit.status, limit.reason
        return Attempt(spec=job.spec, status=status, reason=reason)

    def stop(self) -> None:
        """End the child and all it started."""
        if self._process is None:
            return
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            try:
                if pipe is not None:
                    pipe.close()
            except BrokenPipeError:  # a job it never read
                continue
        self._process = None

    def kill(self) -> None:
        """Kill the child and all it started; from another thread, too, whose `run` then ends."""
        running = self._process  # the other thread may set it to None meanwhile
        for process in [] if running is None else _tree(running.pid):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue

    def _send(self, job: Job) -> None:
        environment = _environment(job)
        if environment != self._environment:
            self.stop()
        if self._process is None:
            self._start(environment)
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asdict(job)) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # dead already: the reader's end of file will say so
            return

    def _start(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in stop)
        self._events = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", CHILD, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf8",
            errors="replace",
            env={**environment, **os.environ, **self._threads, **SAFE_PATH},
        )
        assert self._process.stdout is not None
        reader = threading.Thread(
            target=_read, args=(self._process.stdout, self._events), daemon=True
        )
        reader.start()

    def _until_done(self, is_stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Events until the child ends; raises when a limit is passed."""
        deadline = None
        if self._limits.seconds is not None:
            deadline = time.monotonic() + self._limits.seconds
        while True:
            try:
                event = self._events.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if is_stopped():
                    self.kill()
            else:
                if event is None:
                    return
                yield event
            if deadline is not None and time.monotonic() > deadline:
                raise _LimitError("timeout", f"took longer than {self._limits.seconds:g} s")
            self._check_memory()

    def _check_memory(self) -> None:
        if self._limits.memory is None or self._process is None:
            return
        used = sum(_resident(process) for process in _tree(self._process.pid))
        if used > self._limits.memory:
            limit = f"{self._limits.memory / 2**20:,.0f} MiB"
            raise _LimitError("out-of-memory", f"needed more than {limit} of memory")

    def _crashed(self) -> tuple[Status, str]:
        assert self._process is not None
        assert self._stderr is not None
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        self.stop()
        if code == -9:
            reason = "was killed by the system, probably for want of memory"
            return "out-of-memory", reason
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return "failed", ": ".join([f"the fitting process {how}", *lines[-1:]])


class _LimitError(Exception):
    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status
        self.reason = reason


def _environment(job: Job) -> dict[str, str]:
    """What a child that fits this job needs beside what its parent was given."""
    return {"GOMP_SPINCOUNT": SPIN} if row_of(job.spec.model).family == "network" else {}


def _read(stdout: IO[str], events: queue.Queue[dict[str, Any] | None]) -> None:
    for line in stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # printed by a library before the child kept such out of its events
        if isinstance(event, dict) and "event" in event:
            events.put(event)
    events.put(None)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
