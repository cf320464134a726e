"""Jobs fitted in child processes on this machine, several at the same time."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import psutil

from fittingroom.bench.executor import PROGRAM, Job, Limits, Outcome, Worker
from fittingroom.bench.placement import ENDED, OnEvent
from fittingroom.bench.worker import one_line

_POLL_SECONDS = 0.2


class Local:
    """Child processes, each with its share of the threads; use it as a context manager.

    Parameters
    ----------
    limits
        Of each job.
    at_once
        How many children there are. A single one has the threads that it would have anyway.
    program
        The module that they run, see `Worker`.
    """

    def __init__(self, limits: Limits, at_once: int, program: str = PROGRAM) -> None:
        self._limits, self._at_once, self._program = limits, at_once, program
        self._begin()

    @property
    def at_once(self) -> int:
        return self._at_once

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> Iterator[tuple[Job, Outcome]]:
        """Fit all jobs; give each with its outcome when it ends; see `Placement`."""
        free, busy, left = list(self._slots), set[_Slot](), iter(jobs)
        try:
            while True:
                while free and (job := next(left, None)) is not None:
                    slot = free.pop()
                    busy.add(slot)
                    slot.start(job)
                    on_event(job, {"event": "started"})
                if not busy:
                    return
                slot, event = self._next()
                if not isinstance(event, Outcome):
                    if not slot.was_ended and on_event(slot.job, event):
                        slot.end_job()
                    continue
                busy.remove(slot)
                free.append(slot)
                yield slot.job, ENDED if slot.was_ended and event.status != "ok" else event
        finally:
            if busy:
                self._end()
                self._begin()  # what the old ones still told is nothing to another run

    def _next(self) -> tuple[_Slot, Mapping[str, Any] | Outcome]:
        while True:
            try:
                return self._events.get(timeout=_POLL_SECONDS)
            except queue.Empty:  # so that Ctrl-C is heard on every system
                continue

    def _begin(self) -> None:
        threads = None if self._at_once == 1 else max(1, threads_here() // self._at_once)
        self._events: _Events = queue.SimpleQueue()
        self._slots = [
            _Slot(Worker(self._limits, threads=threads, program=self._program), self._events)
            for _ in range(self._at_once)
        ]

    def _end(self) -> None:
        for slot in self._slots:
            slot.end()


class _Slot:
    """A child process and the thread that waits for it."""

    def __init__(self, worker: Worker, events: _Events) -> None:
        self._worker, self._events = worker, events
        self._jobs: queue.SimpleQueue[tuple[Job, bool] | None] = queue.SimpleQueue()
        self._job: Job | None = None
        self.was_ended = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def job(self) -> Job:
        """The last one that was started."""
        assert self._job is not None
        return self._job

    def start(self, job: Job) -> None:
        """Fit a job; a model that follows another one gets a child of its own."""
        same = self._job is not None and self._job.model == job.model and not self.was_ended
        self._job, self.was_ended = job, False
        self._jobs.put((job, same))

    def end_job(self) -> None:
        """End the job under way, and the child with it."""
        self.was_ended = True
        self._worker.kill()

    def end(self) -> None:
        """End the child and the thread, whatever they are doing."""
        self._jobs.put(None)
        while self._thread.is_alive():
            self._worker.kill()  # once more for a child that was only being started
            self._thread.join(_POLL_SECONDS / 4)

    def _serve(self) -> None:
        while (given := self._jobs.get()) is not None:
            job, same_child = given
            if not same_child:
                self._worker.stop()
            try:
                outcome = self._worker.run(job, lambda event: self._events.put((self, event)))
            except Exception as error:  # no process could be started, for instance
                outcome = Outcome(status="failed", reason=one_line(error))
            self._events.put((self, outcome))
        self._worker.stop()


def threads_here() -> int:
    """How many threads a fit would have that is alone here."""
    if (asked := os.environ.get("OMP_NUM_THREADS", "").split(",")[0]).isdigit():
        return max(1, int(asked))
    cores = psutil.cpu_count(logical=False) or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return cores


_Events = queue.SimpleQueue[tuple[_Slot, Mapping[str, Any] | Outcome]]
