"""Fits jobs in parallel child processes on this machine."""

from __future__ import annotations

import queue
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Self

import psutil

from fittingroom.execution.children import threads_of
from fittingroom.execution.job import Job, Limits
from fittingroom.execution.process import FitProcess
from fittingroom.runs.attempt import Attempt, FitStep, failed

_POLL_SECONDS = 0.2


class LocalExecutor:
    """Child processes that share the threads; use it as a context manager.

    Parameters
    ----------
    limits
        Of each job.
    at_once
        Number of children. A single one keeps the default number of threads.
    """

    def __init__(self, limits: Limits, at_once: int) -> None:
        self._at_once = at_once
        threads = threads_of(at_once)
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
        """Start a fit; see `Executor`."""
        child = self._free.pop()
        self._busy.append(child)
        child.start(job, self._pool, self._events)

    def next_event(self) -> tuple[Job, FitStep | Attempt]:
        """Wait for the next step or end; see `Executor`."""
        while True:
            try:
                child, event = self._events.get(timeout=_POLL_SECONDS)
            except queue.Empty:  # wake up regularly: not every system lets Ctrl-C interrupt a wait
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
        """Stop a fit by killing its child; see `Executor`."""
        next(child for child in self._busy if child.job is job).stop()

    def stop_all(self) -> None:
        """Kill all children, busy or not; see `Executor`."""
        children = [*self._busy, *self._free]
        for child in children:  # kill them all before waiting for any
            child.stop()
        for child in children:
            child.end()
        self._free += self._busy
        self._busy.clear()
        self._events = queue.SimpleQueue()  # forget the events of killed fits


class _Child:
    """A child process and the job that it fits."""

    def __init__(self, process: FitProcess) -> None:
        self._process = process
        self._job: Job | None = None
        self._future: Future[None] | None = None
        self.stopped = False

    @property
    def job(self) -> Job:
        """The job that was started last."""
        assert self._job is not None
        return self._job

    def start(self, job: Job, pool: ThreadPoolExecutor, events: _Events) -> None:
        """Fit a job in a pool thread; the process is reused only for the same model."""
        reused = self._job and self._job.spec.model == job.spec.model and not self.stopped
        self._job, self.stopped = job, False
        self._future = pool.submit(self._fit, job, bool(reused), events)

    def _fit(self, job: Job, reused: bool, events: _Events) -> None:
        try:
            if not reused:
                self._process.stop()
            attempt = self._process.fit(
                job, lambda step: events.put((self, step)), lambda: self.stopped
            )
        except Exception as error:  # for instance, no process could be started
            attempt = failed(job.spec, error)
        events.put((self, attempt))

    def stop(self) -> None:
        """Stop the running job by killing its process."""
        self.stopped = True
        self._process.kill()

    def end(self) -> None:
        """Wait for its pool thread, after `stop`."""
        while self._future is not None and not self._future.done():
            self._process.kill()  # again: the process may only have been starting
            try:
                self._future.exception(timeout=_POLL_SECONDS / 4)
            except TimeoutError:
                continue
        self._process.stop()


def memory_here() -> int:
    """Bytes of this machine's memory, what it can swap out included."""
    return int(psutil.virtual_memory().total + psutil.swap_memory().total)


_Events = queue.SimpleQueue[tuple[_Child, FitStep | Attempt]]
