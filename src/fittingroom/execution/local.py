"""Jobs fitted in child processes on this machine, several at the same time."""

from __future__ import annotations

import os
import queue
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Self

import psutil

from fittingroom.execution.job import Job, Limits
from fittingroom.execution.process import FitProcess
from fittingroom.runs.attempt import Attempt, FitStep, failed

_POLL_SECONDS = 0.2


class LocalExecutor:
    """Child processes, each with its share of the threads; use it as a context manager.

    Parameters
    ----------
    limits
        Of each job.
    at_once
        How many children there are. A single one has the threads that it would have anyway.
    """

    def __init__(self, limits: Limits, at_once: int) -> None:
        self._at_once = at_once
        threads = None if at_once == 1 else max(1, threads_here() // at_once)
        self._free = [_Child(FitProcess(limits, threads=threads)) for _ in range(at_once)]
        self._busy: list[_Child] = []
        self._events: _Events = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(at_once)

    @property
    def at_once(self) -> int:
        return self._at_once

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()
        self._pool.shutdown()

    def submit(self, job: Job) -> None:
        """Begin a fit; see `Executor`."""
        child = self._free.pop()
        self._busy.append(child)
        child.begin(job, self._pool, self._events)

    def next_event(self) -> tuple[Job, FitStep | Attempt]:
        """Wait for the next step or end; see `Executor`."""
        while True:
            try:
                child, event = self._events.get(timeout=_POLL_SECONDS)
            except queue.Empty:  # so that Ctrl-C is heard on every system
                continue
            if isinstance(event, Attempt):
                self._busy.remove(child)
                self._free.append(child)
                if child.stopped and event.status != "ok":
                    event = replace(event, status="stopped", reason=None)
                return child.job, event
            if not child.stopped:
                return child.job, event

    def stop(self, job: Job) -> None:
        """End a fit, and its child with it; see `Executor`."""
        next(child for child in self._busy if child.job is job).stop()

    def stop_all(self) -> None:
        """End all children, whatever they are doing; see `Executor`."""
        children = [*self._busy, *self._free]
        for child in children:  # so that they end also where nobody waits for it
            child.stop()
        for child in children:
            child.end()
        self._free += self._busy
        self._busy.clear()
        self._events = queue.SimpleQueue()  # what the old ones said matters to nobody


class _Child:
    """A child process and the job that it fits."""

    def __init__(self, process: FitProcess) -> None:
        self._process = process
        self._job: Job | None = None
        self._fitted: Future[None] | None = None
        self.stopped = False

    @property
    def job(self) -> Job:
        """The last one that was begun."""
        assert self._job is not None
        return self._job

    def begin(self, job: Job, pool: ThreadPoolExecutor, events: _Events) -> None:
        """Fit a job in a thread of the pool; after another model, in a new process."""
        reused = self._job and self._job.spec.model == job.spec.model and not self.stopped
        self._job, self.stopped = job, False
        self._fitted = pool.submit(self._fit, job, bool(reused), events)

    def _fit(self, job: Job, reused: bool, events: _Events) -> None:
        try:
            if not reused:
                self._process.stop()
            attempt = self._process.fit(
                job, lambda step: events.put((self, step)), lambda: self.stopped
            )
        except Exception as error:  # no process could be started, for instance
            attempt = failed(job.spec, error)
        events.put((self, attempt))

    def stop(self) -> None:
        """End the job under way, and the process with it."""
        self.stopped = True
        self._process.kill()

    def end(self) -> None:
        """Wait until its thread is free, after `stop`."""
        while self._fitted is not None and not self._fitted.done():
            self._process.kill()  # once more for a process that was only being started
            try:
                self._fitted.exception(timeout=_POLL_SECONDS / 4)
            except TimeoutError:
                continue
        self._process.stop()


def threads_here() -> int:
    """How many threads a fit would have that is alone here."""
    threads = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if threads.isdigit():
        return max(1, int(threads))
    cores = psutil.cpu_count(logical=False) or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return cores


_Events = queue.SimpleQueue[tuple[_Child, FitStep | Attempt]]
