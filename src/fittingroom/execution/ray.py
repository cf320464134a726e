"""Fits jobs on the nodes of a Ray cluster: Ray Core tasks with one processor each.

On its node a task starts the same child process that fits jobs here, with the same limits. Only
plain data travel: the job and its reference runs to the node, the finished runs back as bytes,
which are committed here. So the nodes need no shared disk; each has its own copy of the data set,
recognised by its hash. Ray restarts a task elsewhere when its worker or node is lost (Moritz et
al. 2018, arXiv 1712.05889).
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
from fittingroom.errors import ClusterError, StoreError, UsageError, install_command
from fittingroom.execution.job import Job, Limits
from fittingroom.execution.process import FitProcess
from fittingroom.runs.attempt import Attempt, FitStep, failed, one_line
from fittingroom.runs.dataset_card import CARD
from fittingroom.runs.run import Run
from fittingroom.runs.store import Store, find_store
from fittingroom.runs.transfer import pack, unpack

#: How often a fit is restarted after its worker or node was lost.
RETRIES = 3
#: Seconds between two polls of the running fits.
_POLL_SECONDS = 0.5
#: Seconds that interrupted tasks get to end their children and remove their folders. A tenth of a
#: second is usual, but Ray runs tasks at niceness 15: on a busy machine it can take a minute.
_CLEARING_SECONDS = 90.0


class RayExecutor:
    """A Ray cluster; use it as a context manager, which connects to it.

    Parameters
    ----------
    limits
        Of each job, on its node.
    address
        `ray://HOST:PORT`; None takes the cluster that RAY_ADDRESS names or that runs on this
        machine, else starts one here and shuts it down afterwards.
    """

    def __init__(self, limits: Limits, address: str | None) -> None:
        self._limits, self._address = limits, address
        self._ray: Any = None
        self._at_once = 1
        self._numbers = count()
        self._tasks: dict[int, _Task] = {}  # running, by job number
        self._events: deque[tuple[Job, FitStep | Attempt]] = deque()

    def __enter__(self) -> Self:
        self._ray = _import_ray()
        try:
            # Ray puts the current folder first on its workers' module search path.
            with chdir(Path(__file__).parents[2]), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._connect()
        except Exception as error:  # of whatever kind: there is no cluster
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
            # A cluster started here serves this machine alone. With this constant off, Ray binds
            # to localhost, as by default on macOS and Windows.
            constants = self._ray._private.ray_constants
            before, constants.ENABLE_RAY_CLUSTER = constants.ENABLE_RAY_CLUSTER, False
            try:
                self._ray.init(address="local", include_dashboard=False, **options)
            finally:
                constants.ENABLE_RAY_CLUSTER = before

    @property
    def at_once(self) -> int:
        """Number of processors when the cluster last answered; at least 1."""
        # Ray has several errors for no answer; waiting for a task will report a lost cluster.
        with suppress(Exception):
            if self._ray.is_initialized():
                self._at_once = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return self._at_once

    def submit(self, job: Job) -> None:
        """Start a fit; see `Executor`. Raises ClusterError when the cluster goes away."""
        number, store = next(self._numbers), find_store(job.store)
        with self._report_lost_cluster():
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
        """Wait for the next step or end; see `Executor`. Raises ClusterError like `submit`."""
        with self._report_lost_cluster():
            while not self._events:
                self._listen()
        return self._events.popleft()

    def stop(self, job: Job) -> None:
        """Stop a fit; see `Executor`."""
        for task in [task for task in self._tasks.values() if task.job is job]:
            task.stopped = True
            self._interrupt([task])
        # Its steps are dropped; the attempt of a fit that has ended meanwhile is kept.
        self._events = deque(
            (owner, event) for owner, event in self._events if owner is not job or _is_end(event)
        )

    def stop_all(self) -> None:
        """Stop all tasks; see `Executor`."""
        self._interrupt(self._tasks.values())
        self._tasks.clear()
        self._events.clear()

    @contextmanager
    def _report_lost_cluster(self) -> Iterator[None]:
        """Raise ClusterError when the cluster goes away."""
        try:
            yield
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise ClusterError(
                f"the Ray cluster went away ({one_line(error).rstrip('.')}); what was finished is "
                "saved, and the same command resumes from there."
            ) from error

    def _listen(self) -> None:
        """Poll once for reported steps and for finished tasks."""
        references = [task.reference for task in self._tasks.values()]
        finished, _ = self._ray.wait(references, timeout=_POLL_SECONDS)
        for number, step in self._take_steps():
            task = self._tasks.get(number)
            if task and not task.stopped:
                self._events.append((task.job, FitStep(**step)))
        for number in [n for n, task in self._tasks.items() if task.reference in finished]:
            task = self._tasks.pop(number)
            self._events.append((task.job, self._attempt(task)))

    def _interrupt(self, tasks: Collection[_Task]) -> None:
        """Cancel running tasks, if the cluster is still there.

        An interrupt lets a task remove its folder. A task that doesn't react in time is killed.
        """
        references = [task.reference for task in tasks]
        if not references or not self._ray.is_initialized():  # else Ray would start a cluster
            return
        with suppress(self._ray.exceptions.RayError, ConnectionError):
            for reference in references:
                self._ray.cancel(reference)
            _, pending = self._ray.wait(
                references, num_returns=len(references), timeout=_CLEARING_SECONDS
            )
            for reference in pending:
                self._ray.cancel(reference, force=True)

    def _take_steps(self) -> list[tuple[int, dict[str, Any]]]:
        """Steps reported since the last call; none while the board moves to another node."""
        try:
            steps: list[tuple[int, dict[str, Any]]] = self._ray.get(
                self._board.take.remote(), timeout=10
            )
        except self._ray.exceptions.RayError:
            return []
        return steps

    def _attempt(self, task: _Task) -> Attempt:
        """How a task ended; its runs are committed to the store."""
        spec = task.job.spec
        try:
            reply = self._ray.get(task.reference)
            unpack(reply["runs"], find_store(task.job.store))
        except self._ray.exceptions.RayError as error:
            if task.stopped:
                return Attempt(spec=spec, status="stopped")
            if isinstance(error, self._ray.exceptions.RayTaskError):  # raised in the task itself
                return Attempt(spec=spec, status="failed", reason=one_line(error.cause))
            reason = f"lost on the cluster (up to {RETRIES + 1} attempts): {one_line(error)}"
            return Attempt(spec=spec, status="failed", reason=reason)
        except StoreError as error:
            return failed(spec, error)
        return Attempt(spec=spec, status=reply["status"], reason=reply["reason"])


@dataclass
class _Task:
    """A job on the cluster, and the reference to its future result."""

    job: Job
    reference: Any
    stopped: bool = False


def _is_end(event: FitStep | Attempt) -> bool:
    return isinstance(event, Attempt)


class _Board:
    """Collects the steps of all tasks; an actor, since tasks can only return a result."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, dict[str, Any]]] = []

    def report(self, number: int, step: dict[str, Any]) -> None:
        self._steps.append((number, step))

    def take(self) -> list[tuple[int, dict[str, Any]]]:
        steps, self._steps = self._steps, []
        return steps


def _references(job: Job, store: Store) -> list[Run]:
    """The saved reference runs of a job."""
    runs = []
    for spec in job.spec.references:
        with suppress(StoreError):  # an unreadable run isn't sent
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
    """The Ray task: fit a job on this node, in a temporary folder.

    Parameters
    ----------
    number
        Of the job, for the board.
    job, limits
        As dictionaries.
    card
        The text of the store's `dataset.json`.
    saved
        Archive of the job's reference runs.
    board
        Receives every step.

    Returns
    -------
    `status` and `reason` of the attempt, and `runs`, an archive of the new runs.
    """
    with _accept_interrupts(), TemporaryDirectory(prefix="fittingroom-") as folder:
        (Path(folder) / CARD).write_text(card, "utf8")
        store = find_store(folder)
        sent = {run.folder for run in unpack(saved, store)}
        local_job = Job.from_dict({**job, "store": folder})
        dataset = find_again(store.card.name, local_job.dataset, local_job.spec.dataset)
        if dataset is None:
            reason = (
                f"the node {platform.node()} doesn't have the data set {store.card.name} "
                f"({local_job.spec.dataset[:8]}); copy its files there and set FITTINGROOM_DATA to "
                "their folder."
            )
            return {"status": "interrupted", "reason": reason, "runs": pack([])}
        local_job = replace(local_job, dataset=str(dataset.location))
        with FitProcess(Limits(**limits), threads=1) as process:
            attempt = process.fit(local_job, lambda step: board.report.remote(number, asdict(step)))
        new_runs = [run for run in store.runs() if run.folder not in sent]
        return {"status": attempt.status, "reason": attempt.reason, "runs": pack(new_runs)}


@contextmanager
def _accept_interrupts() -> Iterator[None]:
    """Let an interrupt end the task: Ray's `cancel` relies on that.

    A cluster that a script starts in the background ignores interrupts, and so do its workers.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _import_ray() -> Any:
    """Import Ray, without usage reports and without messages on standard output.

    Raises
    ------
    UsageError
        When it isn't installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # avoids a warning
    try:
        import ray
    except ImportError:
        raise UsageError(
            f"--on ray needs Ray, which isn't installed here; run {install_command('ray')}."
        ) from None
    # Ray prints what happens to its nodes to standard output, where JSON may be expected; there is
    # no setting for that.
    ray._private.worker._worker_logs_enabled = False
    return ray
