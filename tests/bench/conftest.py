"""An executor in memory, to test what decides on fits and reacts to how they end."""

from __future__ import annotations

import dataclasses
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Literal

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset, Split
from fittingroom.data.sources import load_dataset
from fittingroom.execution.job import Job, Limits
from fittingroom.models.catalog import row_of
from fittingroom.runs.attempt import Attempt, FitStep, Status, failed
from fittingroom.runs.protocols import protocol_of
from fittingroom.runs.run import Part, RunRecord
from fittingroom.runs.spec import RunSpec, to_plain
from fittingroom.runs.store import find_store

#: The events of a fit: steps, then its end. A number is an accuracy: a run is saved that has this
#: share of its images right. "fit" really fits, in this process.
Scripted = FitStep | Attempt | Status | Literal["fit"] | float
Script = Callable[[RunSpec], Iterable[Scripted]]


class ScriptedExecutor:
    """An `Executor` whose fits follow a script; their events alternate.

    Attributes
    ----------
    opened : where fits were to run, and their limits, for each bench that was opened
    jobs : all that were submitted
    stopped : the specs of those that were stopped one by one
    ended : the specs of those that were ended all at once
    most : how many were under way at the same time at most
    """

    def __init__(self, script: Script, at_once: int = 1) -> None:
        self.script, self.at_once = script, at_once
        self.opened: list[tuple[str, Limits]] = []
        self.jobs: list[Job] = []
        self.stopped: list[RunSpec] = []
        self.ended: list[RunSpec] = []
        self.most = 0
        self._running: deque[tuple[Job, Iterator[Scripted]]] = deque()

    @property
    def specs(self) -> list[RunSpec]:
        """Of all submitted jobs."""
        return [job.spec for job in self.jobs]

    def submit(self, job: Job) -> None:
        assert len(self._running) < self.at_once
        self.jobs.append(job)
        self._running.append((job, iter(self.script(job.spec))))
        self.most = max(self.most, len(self._running))

    def next_event(self) -> tuple[Job, FitStep | Attempt]:
        job, events = self._running.popleft()  # an IndexError if nothing is running
        event = next(events)
        if isinstance(event, str) and event == "fit":
            steps, end = _fit_here(job)
            events = iter((*steps, end))
            event = next(events)
        if isinstance(event, FitStep):
            self._running.append((job, events))
            return job, event
        if isinstance(event, float | int):
            save_run(job, event)
            event = "ok"
        if isinstance(event, Attempt):
            return job, event
        assert event != "fit"
        return job, Attempt(spec=job.spec, status=event)

    def stop(self, job: Job) -> None:
        (place,) = [n for n, (other, _) in enumerate(self._running) if other is job]
        self._running[place] = job, iter(["stopped"])
        self.stopped.append(job.spec)

    def stop_all(self) -> None:
        self.ended += [job.spec for job, _ in self._running]
        self._running.clear()


def _fit_here(job: Job) -> tuple[list[FitStep], Attempt]:
    """Fit a job in this process: its steps, and how it ended."""
    from fittingroom.runs.fit import fit  # imports torch, so only if something is really fitted

    steps: list[FitStep] = []
    dataset, store = _dataset(job.dataset), find_store(job.store)
    try:
        fit(job.spec, dataset, store, keep_model=job.keep_model, on_step=steps.append)
    except Exception as error:  # as in a child process
        return steps, failed(job.spec, error)
    return steps, Attempt(spec=job.spec, status="ok")


def save_run(job: Job, accuracy: float) -> None:
    """Save a run without fitting; which images it has right depends on its spec."""
    spec, dataset, store = job.spec, _dataset(job.dataset), find_store(job.store)
    predicted = {"out_of_fold": (dataset.train, np.arange(len(dataset.train)))}
    if not spec.folds:
        predicted = dict(protocol_of(spec, dataset).predicted)
    row, drawing = row_of(spec.model), np.random.default_rng(zlib.crc32(spec.path.encode()))
    record = RunRecord(
        spec=dataclasses.replace(spec, settings=to_plain(spec.settings)),
        family=row.family,
        deterministic=row.deterministic,
        trained_on=100,
        fit_seconds=1.0,
        environment={},
    )
    parts = {
        name: _part(*where, dataset.n_classes, accuracy, drawing)
        for name, where in predicted.items()
    }
    store.save(record, parts)


def _part(
    split: Split, index: np.ndarray, n_classes: int, accuracy: float, drawing: np.random.Generator
) -> Part:
    """Predictions of which a random share is right."""
    labels = split.labels[index]
    wrong = drawing.permutation(len(index))[round(accuracy * len(index)) :]
    guesses = labels.copy()
    guesses[wrong] = (labels[wrong] + 1) % n_classes
    return Part(index, np.eye(n_classes, dtype=np.float32)[guesses], labels)


@cache
def _dataset(place: str) -> Dataset:
    return load_dataset(place)


@contextmanager
def _install(script: Script = lambda _: ["fit"], at_once: int = 1) -> Iterator[ScriptedExecutor]:
    executor = ScriptedExecutor(script, at_once)

    def opened(on: str, limits: Limits) -> AbstractContextManager[ScriptedExecutor]:
        executor.opened.append((on, limits))
        return nullcontext(executor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fittingroom.bench.bench.open_executor", opened)
        yield executor


@pytest.fixture(scope="session")
def scripted() -> Callable[..., AbstractContextManager[ScriptedExecutor]]:
    """`with scripted(script, at_once=2) as executor:` every bench opened inside has this executor.

    By default each fit is really done, in this process.
    """
    return _install
