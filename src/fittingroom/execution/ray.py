"""Jobs fitted on the nodes of a Ray cluster: core tasks, one processor each.

A task starts the same child process that fits jobs here, with the same limits, on its node. Only
plain data travel: to the node the job and what the store holds of that model and seed, back the
finished runs as bytes, which are committed here. So the nodes share no disk; the data set they have
themselves, recognised by its hash. Ray itself starts the task again, elsewhere, when its worker or
its node is lost (Moritz and others 2018, arXiv 1712.05889).
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import warnings
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import chdir, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from fittingroom.data.sources import find_again
from fittingroom.errors import ClusterError, StoreError, UsageError
from fittingroom.execution.job import Job, Limits
from fittingroom.execution.process import FitProcess
from fittingroom.runs.attempt import Attempt, FitStep, failed, one_line
from fittingroom.runs.dataset_card import CARD
from fittingroom.runs.run import Run
from fittingroom.runs.store import Store, find_store
from fittingroom.runs.transfer import pack, unpack

#: How often a fit is begun again whose worker or node was lost.
RETRIES = 3
#: Seconds between two looks at what was heard of the fits under way.
_POLL_SECONDS = 0.5
#: Seconds that interrupted tasks have to end their children and remove their folders. It takes them
#: a tenth of one; but Ray runs them at niceness 15, and beside busy processes that can be a minute.
_CLEARING_SECONDS = 90.0


class RayExecutor:
    """A Ray cluster; use it as a context manager, which connects to it.

    Parameters
    ----------
    limits
        Of each job, on its node.
    address
        `ray://HOST:PORT`; None is the cluster that RAY_ADDRESS names or that runs on this machine,
        else one that is started here and ended afterwards.
    """

    def __init__(self, limits: Limits, address: str | None) -> None:
        self._limits, self._address = limits, address
        self._ray: Any = None
        self._at_once = 1
        self._numbers = count()
        self._tasks: dict[int, _Task] = {}  # under way, by the numbers of their jobs
        self._events: deque[tuple[Job, FitStep | Attempt]] = deque()

    def __enter__(self) -> Self:
        self._ray = _import_ray()
        try:
            # Ray puts the folder that this is called in first where its workers look for modules.
            with chdir(Path(__file__).parents[2]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._connect()
        except Exception as error:  # whatever it is, there is no cluster to be had
            address = self._address or os.environ.get("RAY_ADDRESS")
            where = f"at {address}" if address else "on this machine"
            raise ClusterError(f"no Ray cluster {where}: {one_line(error)}.") from error
        self._board = self._ray.remote(num_cpus=0, max_restarts=-1)(_Board).remote()
        self._fit = self._ray.remote(num_cpus=1, max_retries=RETRIES)(_fit_on_node)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()
        self._ray.shutdown()

    def _connect(self) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        try:
            self._ray.init(address=self._address or "auto", **options)
        except ConnectionError:
            if self._address or os.environ.get("RAY_ADDRESS"):
                raise
            # What is started here is for this machine alone: Ray listens to no other then, as it
            # does on systems whose firewalls would ask.
            constants = self._ray._private.ray_constants
            before, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False
            try:
                self._ray.init(address="local", include_dashboard=False, **options)
            finally:
                constants.ENABLE_RAY_CLUSTER = before

    @property
    def at_once(self) -> int:
        """The processors of all nodes when the cluster last answered; at least 1."""
        # Where it doesn't answer, of which Ray has several errors, waiting for a task tells.
        with suppress(Exception):
            if self._ray.is_initialized():
                self._at_once = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return self._at_once

    def submit(self, job: Job) -> None:
        """Begin a fit; see `Executor`. Raises ClusterError when the cluster goes away."""
        number, store = next(self._numbers), find_store(job.store)
        with self._watched():
            reference = self._fit.remote(
                number,
                asdict(job),
                asdict(self._limits),
                (store.folder / CARD).read_text("utf8"),
                pack(_references(job, store), models=False),
                self._board,
            )
        self._tasks[number] = _Task(job, reference)

    def next_event(self) -> tuple[Job, FitStep | Attempt]:
        """Wait for the next step or end; see `Executor`. Raises ClusterError as `submit`."""
        with self._watched():
            while not self._events:
                self._listen()
        return self._events.popleft()

    def stop(self, job: Job) -> None:
        """End a fit; see `Executor`."""
        for task in [task for task in self._tasks.values() if task.job is job]:
            task.stopped = True
            self._interrupt([task])
        # Of one that has ended meanwhile the attempt is waiting.
        events = [(of, event) for of, event in self._events if of is not job or _is_end(event)]
        self._events = deque(events)

    def stop_all(self) -> None:
        """End all tasks; see `Executor`."""
        self._interrupt(self._tasks.values())
        self._tasks.clear()
        self._events.clear()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Report a cluster that goes away."""
        try:
            yield
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise ClusterError(
                f"the Ray cluster went away ({one_line(error).rstrip('.')}); what was finished is "
                "saved, and the same command resumes from there."
            ) from error

    def _listen(self) -> None:
        """Look once for what tasks reported, and for those that are over."""
        references = [task.reference for task in self._tasks.values()]
        over, _ = self._ray.wait(references, timeout=_POLL_SECONDS)
        for number, step in self._reported():
            task = self._tasks.get(number)
            if task and not task.stopped:
                self._events.append((task.job, FitStep(**step)))
        for number in [n for n, task in self._tasks.items() if task.reference in over]:
            task = self._tasks.pop(number)
            self._events.append((task.job, self._attempt(task)))

    def _interrupt(self, tasks: Collection[_Task]) -> None:
        """End tasks that are under way, as far as the cluster is still there.

        An interrupt lets a task remove its folder. One that doesn't heed it in time loses its
        process.
        """
        references = [task.reference for task in tasks]
        if not references or not self._ray.is_initialized():  # else Ray would start a cluster
            return
        with suppress(self._ray.exceptions.RayError, ConnectionError):
            for reference in references:
                self._ray.cancel(reference)
            _, left = self._ray.wait(
                references, num_returns=len(references), timeout=_CLEARING_SECONDS
            )
            for reference in left:
                self._ray.cancel(reference, force=True)

    def _reported(self) -> list[tuple[int, dict[str, Any]]]:
        """What tasks reported since the last time; the board may be moving to another node."""
        try:
            reported: list[tuple[int, dict[str, Any]]] = self._ray.get(
                self._board.take.remote(), timeout=10
            )
        except self._ray.exceptions.RayError:
            return []
        return reported

    def _attempt(self, task: _Task) -> Attempt:
        """How a task ended; its runs are committed."""
        spec = task.job.spec
        try:
            reply = self._ray.get(task.reference)
            unpack(reply["runs"], find_store(task.job.store))
        except self._ray.exceptions.RayError as error:
            if task.stopped:
                return Attempt(spec=spec, status="stopped")
            if isinstance(error, self._ray.exceptions.RayTaskError):  # raised in the task itself
                return Attempt(spec=spec, status="failed", reason=one_line(error.cause))
            reason = f"lost on the cluster, {RETRIES + 1} times at most: {one_line(error)}"
            return Attempt(spec=spec, status="failed", reason=reason)
        except StoreError as error:
            return failed(spec, error)
        return Attempt(spec=spec, status=reply["status"], reason=reply["reason"])


@dataclass
class _Task:
    """A job on the cluster, and the reference to what will come back."""

    job: Job
    reference: Any
    stopped: bool = False


def _is_end(event: FitStep | Attempt) -> bool:
    return isinstance(event, Attempt)


class _Board:
    """Where tasks report their steps; an actor, since a task can't be listened to."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, dict[str, Any]]] = []

    def report(self, number: int, step: dict[str, Any]) -> None:
        self._steps.append((number, step))

    def take(self) -> list[tuple[int, dict[str, Any]]]:
        steps, self._steps = self._steps, []
        return steps


def _references(job: Job, store: Store) -> list[Run]:
    """Saved runs that a fit on all images takes its choices from."""
    runs = []
    for spec in job.spec.references:
        with suppress(StoreError):  # of a run that can't be read
            runs.append(store.find(spec))
    return [run for run in runs if run is not None]


def _fit_on_node(
    number: int,
    job: dict[str, Any],
    limits: dict[str, Any],
    card: str,
    saved: bytes,
    board: Any,
) -> dict[str, Any]:
    """The task: fit a job on this node, in a folder that is removed afterwards.

    Parameters
    ----------
    number
        Of the job, for the board.
    job, limits
        As dictionaries.
    card
        The text of the store's `dataset.json`.
    saved
        An archive of runs that need not be made again.
    board
        Gets every step.

    Returns
    -------
    `status` and `reason` of the attempt, and `runs`, an archive of the runs that were made.
    """
    with _heeding_interrupts(), TemporaryDirectory(prefix="fittingroom-") as folder:
        (Path(folder) / CARD).write_text(card, "utf8")
        store = find_store(folder)
        known = {run.folder for run in unpack(saved, store)}
        here = Job.from_dict({**job, "store": folder})
        dataset = find_again(store.card.name, here.dataset, here.spec.dataset)
        if dataset is None:
            reason = (
                f"the node {platform.node()} doesn't have the data set {store.card.name} "
                f"({here.spec.dataset[:8]}); put its files there and set FITTINGROOM_DATA to them."
            )
            return {"status": "interrupted", "reason": reason, "runs": pack([])}
        here = replace(here, dataset=str(dataset.location))
        with FitProcess(Limits(**limits), threads=1) as process:
            attempt = process.fit(here, lambda step: board.report.remote(number, asdict(step)))
        made = [run for run in store.runs() if run.folder not in known]
        return {"status": attempt.status, "reason": attempt.reason, "runs": pack(made)}


@contextmanager
def _heeding_interrupts() -> Iterator[None]:
    """Let an interrupt end the task, as Ray's `cancel` relies on.

    What a script starts in its background ignores interrupts, and all that it starts in turn: a
    cluster, its workers.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _import_ray() -> Any:
    """Ray, told to be quiet before it is imported: no report of its use, no notes on stdout.

    Raises
    ------
    UsageError
        When it isn't installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning says so
    try:
        import ray
    except ImportError:
        raise UsageError(
            "--on ray takes Ray, which isn't installed here; run pip install 'fittingroom[ray]'."
        ) from None
    # What happens to its nodes Ray prints to standard output, where JSON may be expected. There is
    # no setting for it.
    ray._private.worker._worker_logs_enabled = False
    return ray
