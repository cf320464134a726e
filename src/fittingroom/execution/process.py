"""Fit in a child process that has limits and dies with its parent.

The child is a copy of a process that has everything imported, where that can be had
(`fork_server.py`), else it is started by itself. The parent writes one job per line to the child's
standard input and reads one event per line from its standard output. The child exits at end of
file, so no fit outlives its parent, however that ended.
"""

from __future__ import annotations

import json
import math
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

from fittingroom.execution.children import IMPORTED, environment_of
from fittingroom.execution.fork_server import ForkedChild, start_copy
from fittingroom.execution.job import Job, Limits
from fittingroom.models.catalog import row_of
from fittingroom.models.rows import Family
from fittingroom.runs.attempt import Attempt, FitStep, Status

_POLL_SECONDS = 0.2
#: The module of a child that is started by itself.
CHILD = "fittingroom.execution.child"


class FitProcess:
    """A child process that fits one job after another; use it as a context manager.

    Networks get a process of their own: their OpenMP settings apply only from its start.

    Parameters
    ----------
    limits
        Of each job.
    threads
        Of the child; None leaves the number to the libraries and their environment variables.
    """

    def __init__(self, limits: Limits, *, threads: int | None = None) -> None:
        self._limits = limits
        self._threads = threads
        self._process: subprocess.Popen[str] | ForkedChild | None = None
        self._family: Family | None = None
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._stderr: IO[bytes] | None = None
        self._deadline = math.inf

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

        `is_stopped` is polled; once it is true, the child is killed. A failed fit is an attempt,
        not an exception; only errors of `on_step` and of starting a child are raised.
        """
        self._deadline = math.inf
        if self._limits.seconds is not None:
            self._deadline = time.monotonic() + self._limits.seconds
        try:
            self._send(job, is_stopped)
            for event in self._until_done(is_stopped):
                kind = event.pop("event")
                if kind == "step":
                    on_step(FitStep(**event))
                elif kind == "end":
                    return Attempt(spec=job.spec, **event)
            status, reason = self._crash_status()
        except _LimitError as limit:
            self.stop()
            status, reason = limit.status, limit.reason
        except _GivenUpError:
            self.stop()
            status, reason = "stopped", None
        return Attempt(spec=job.spec, status=status, reason=reason)

    def stop(self) -> None:
        """Kill the child and all it started, and wait for it."""
        pipes: list[IO[Any] | None] = [self._stderr]
        if self._process is not None:
            self.kill()
            self._process.wait()
            pipes += [self._process.stdin, self._process.stdout]
        for pipe in pipes:
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:  # a job it never read; Windows has no error of its own for that
                continue
        self._process = None

    def kill(self) -> None:
        """Kill the child and all it started; a `fit` in another thread then ends."""
        running = self._process  # the other thread may set it to None meanwhile
        for process in [] if running is None else _tree(running.pid):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue

    def _send(self, job: Job, is_stopped: Callable[[], bool]) -> None:
        family = row_of(job.spec.model).family
        if family != self._family:
            self.stop()
        if self._process is None:
            self._start(family, is_stopped)
        self._check_memory()  # a fit may be over before the first of the later checks
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asdict(job)) + "\n")
            self._process.stdin.flush()
        except OSError:  # it is dead: `_read` will report end of file
            return

    def _start(self, family: Family, is_stopped: Callable[[], bool]) -> None:
        self._family = family
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in stop)
        self._events = queue.Queue()
        variables = environment_of(family, self._threads)

        def check_still_wanted() -> None:
            self._check_time()
            if is_stopped():
                raise _GivenUpError

        copied = start_copy(IMPORTED[family], variables, self._stderr, check_still_wanted)
        self._process = copied or subprocess.Popen(
            [sys.executable, "-P", "-m", CHILD, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf8",
            errors="replace",
            env=variables,
        )
        check_still_wanted()
        assert self._process.stdout is not None
        reader = threading.Thread(
            target=_read, args=(self._process.stdout, self._events), daemon=True
        )
        reader.start()

    def _until_done(self, is_stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Yield events until the child ends; raise `_LimitError` when it exceeds a limit."""
        while True:
            try:
                event = self._events.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                pass
            else:
                if event is None:
                    return
                yield event
            if is_stopped():
                self.kill()
            self._check_time()
            self._check_memory()

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise _LimitError("timeout", f"took longer than {self._limits.seconds:g} s")

    def _check_memory(self) -> None:
        if self._limits.memory is None or self._process is None:
            return
        used = sum(_resident(process) for process in _tree(self._process.pid))
        if used > self._limits.memory:
            limit = f"{self._limits.memory / 2**20:,.0f} MiB"
            raise _LimitError("out-of-memory", f"needed more than {limit} of memory")

    def _crash_status(self) -> tuple[Status, str]:
        assert self._process is not None
        assert self._stderr is not None
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        self.stop()
        if code == -9:
            reason = "was killed by the system, probably because memory ran out"
            return "out-of-memory", reason
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return "failed", ": ".join([f"the fitting process {how}", *lines[-1:]])


class _GivenUpError(Exception):
    """The fit was stopped while its child was starting."""


class _LimitError(Exception):
    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status
        self.reason = reason


def _read(stdout: IO[str], events: queue.Queue[dict[str, Any] | None]) -> None:
    for line in stdout:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # a library printed it before the child redirected standard output
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
