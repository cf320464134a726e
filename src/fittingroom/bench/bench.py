"""`Bench`: specs in, attempts out. Every command fits its models here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fittingroom.bench.progress import Watcher
from fittingroom.data.dataset import Dataset
from fittingroom.data.forms import is_read_in_place
from fittingroom.errors import StoreError
from fittingroom.execution.executor import HERE, Executor, open_executor
from fittingroom.execution.job import Job, Limits
from fittingroom.runs.attempt import Attempt, FitStep, failed
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A data set, the store of its runs, and an executor for the missing ones.

    Attributes
    ----------
    location : the folder that other processes read the data set from
    store : the runs on that data set
    executor : fits models of the catalogue
    estimators : the caller's own by name; they are fitted in this process, the only one to have
        them
    keep_models : whether fitted models are saved
    """

    dataset: Dataset
    location: Path
    store: Store
    executor: Executor
    estimators: Mapping[str, BaseEstimator] = field(default_factory=dict)
    keep_models: bool = True

    def attempts(self, specs: Iterable[RunSpec], watcher: Watcher) -> Iterator[Attempt]:
        """Yield for each spec the saved run or a new fit, in the order in which they end.

        A spec is drawn only when there is room for it and the caller has seen all attempts that
        ended before, so a generator of specs may depend on these. When the iterator is closed, by
        an exception or Ctrl-C, running fits are stopped at once. A spec drawn twice is fitted once.
        """
        remaining, running = iter(specs), dict[RunSpec, int]()
        try:
            while True:
                while len(running) < self.executor.at_once:
                    if (spec := next(remaining, None)) is None:
                        break
                    if spec in running:
                        running[spec] += 1
                    elif (attempt := self._attempt_here(spec, watcher)) is not None:
                        yield attempt
                    else:
                        running[spec] = 1
                        self.executor.submit(self._job(spec))
                        watcher.started(spec)
                if not running:
                    return
                job, event = self.executor.next_event()
                if isinstance(event, FitStep):
                    if watcher.stepped(job.spec, event):
                        self.executor.stop(job)
                    continue
                for _ in range(running.pop(job.spec)):
                    yield self._with_run(event)
        finally:
            if running:
                self.executor.stop_all()

    def saved(self, spec: RunSpec) -> Attempt | None:
        """The spec's run in the store, an `unreadable` attempt, or None if it isn't saved."""
        try:
            run = self.store.find(spec)
        except StoreError as error:
            return Attempt(spec=spec, status="unreadable", reason=str(error))
        return None if run is None else Attempt(spec=spec, status="ok", run=run)

    def _attempt_here(self, spec: RunSpec, watcher: Watcher) -> Attempt | None:
        """The attempt of a saved spec, or of the caller's own estimator, which is fitted here."""
        if (attempt := self.saved(spec)) is not None or spec.model not in self.estimators:
            return attempt
        from fittingroom.runs.fit import fit

        def on_step(step: FitStep) -> None:
            watcher.stepped(spec, step)

        estimator = self.estimators[spec.model]
        watcher.started(spec)
        try:
            run = fit(spec, self.dataset, self.store, estimator=estimator, on_step=on_step)
        except Exception as error:  # whatever a foreign estimator raises is its row's reason
            return failed(spec, error)
        return Attempt(spec=spec, status="ok", run=run)

    def _with_run(self, attempt: Attempt) -> Attempt:
        """The attempt with its saved run, if it is `ok`."""
        if attempt.status != "ok":
            return attempt
        if (saved := self.saved(attempt.spec)) is not None:
            return saved
        reason = f"its run isn't in {self.store.folder}; was it deleted meanwhile?"
        return Attempt(spec=attempt.spec, status="interrupted", reason=reason)

    def _job(self, spec: RunSpec) -> Job:
        return Job(
            spec=spec,
            dataset=str(self.location.resolve()),
            store=str(self.store.folder.resolve()),
            keep_model=self.keep_models,
        )


@contextmanager
def open_bench(
    dataset: Dataset,
    store: Store,
    *,
    on: str = HERE,
    limits: Limits | None = None,
    estimators: Mapping[str, BaseEstimator] | None = None,
    keep_models: bool = True,
) -> Iterator[Bench]:
    """A bench with an open executor, for a `with` statement.

    Parameters
    ----------
    on, limits : see :func:`.executor.open_executor`
    estimators, keep_models : see :class:`Bench`

    Raises
    ------
    UsageError
        When `on` is invalid, or Ray isn't installed.
    ClusterError
        When no cluster answers at that address.
    """
    with _dataset_folder(dataset) as location, open_executor(on, limits or Limits()) as executor:
        yield Bench(
            dataset=dataset,
            location=location,
            store=store,
            executor=executor,
            estimators=estimators or {},
            keep_models=keep_models,
        )


@contextmanager
def _dataset_folder(dataset: Dataset) -> Iterator[Path]:
    """A folder that each fit reads the data set from: its own, or a temporary one with a copy."""
    if dataset.location is not None and is_read_in_place(dataset.location):
        yield dataset.location
        return
    with TemporaryDirectory(prefix="fittingroom-") as folder:
        dataset.write_idx(Path(folder))
        yield Path(folder)
