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
from collections.abc import Collection, Iterable, Iterator
from contextlib import chdir, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from fittingroom.bench.executor import PROGRAM, Job, Limits, Outcome, Worker
from fittingroom.bench.placement import ENDED, OnEvent
from fittingroom.bench.worker import one_line
from fittingroom.data.sources import find_again
from fittingroom.errors import ClusterError, StoreError, UsageError
from fittingroom.runs.asked import plain
from fittingroom.runs.dataset_card import CARD
from fittingroom.runs.parcel import pack, unpack
from fittingroom.runs.run import Run
from fittingroom.runs.store import Store, find_store

#: How often a fit is begun again whose worker or node was lost.
RETRIES = 3
#: Seconds between two looks at what was heard of the fits under way.
_POLL_SECONDS = 0.5
#: Seconds that interrupted tasks have to end their children and remove their folders. It takes them
#: a tenth of one; but Ray runs them at niceness 15, and beside busy processes that can be a minute.
_CLEARING_SECONDS = 90.0


class RayCluster:
    """A Ray cluster; use it as a context manager, which connects to it.

    Parameters
    ----------
    limits
        Of each job, on its node.
    address
        `ray://HOST:PORT`; None is the cluster that RAY_ADDRESS names or that runs on this machine,
        else one that is started here and ended afterwards.
    program
        The module that fits, see `Worker`.
    """

    def __init__(self, limits: Limits, address: str | None, program: str = PROGRAM) -> None:
        self._limits, self._address, self._program = limits, address, program
        self._ray: Any = None
        self._at_once = 1

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

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> Iterator[tuple[Job, Outcome]]:
        """Fit all jobs; give each with its outcome when it ends; see `Placement`.

        Raises
        ------
        ClusterError
            When the cluster goes away meanwhile.
        """
        tasks: dict[int, _Task] = {}
        try:
            yield from self._run(tasks, enumerate(jobs), on_event)
        except (self._ray.exceptions.RayError, ConnectionError) as error:
            raise ClusterError(
                f"the Ray cluster went away ({one_line(error).rstrip('.')}); what was finished is "
                "saved, and the same command goes on from there."
            ) from error
        finally:
            self._interrupt(tasks.values())

    def _run(
        self, tasks: dict[int, _Task], numbered: Iterator[tuple[int, Job]], on_event: OnEvent
    ) -> Iterator[tuple[Job, Outcome]]:
        """As `run`; what is under way is in `tasks`."""
        while True:
            while len(tasks) < self.at_once and (following := next(numbered, None)):
                number, job = following
                tasks[number] = _Task(job, self._submit(number, job))
                on_event(job, {"event": "started"})
            if not tasks:
                return
            references = [task.reference for task in tasks.values()]
            over, _ = self._ray.wait(references, timeout=_POLL_SECONDS)
            for number, event in self._heard():
                task = tasks.get(number)
                if task and not task.ended and on_event(task.job, event):
                    task.ended = True
                    self._interrupt([task])
            for number in [n for n, task in tasks.items() if task.reference in over]:
                task = tasks.pop(number)
                yield task.job, self._outcome(task)

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

    def _submit(self, number: int, job: Job) -> Any:
        store = find_store(job.store)
        return self._fit.remote(
            number,
            asdict(job),
            asdict(self._limits),
            self._program,
            (store.folder / CARD).read_text("utf8"),
            pack(_twins(job, store), models=False),
            self._board,
        )

    def _heard(self) -> list[tuple[int, dict[str, Any]]]:
        """What the tasks told since the last time; the board may be moving to another node."""
        try:
            heard: list[tuple[int, dict[str, Any]]] = self._ray.get(
                self._board.take.remote(), timeout=10
            )
        except self._ray.exceptions.RayError:
            return []
        return heard

    def _outcome(self, task: _Task) -> Outcome:
        """How a task ended; its runs are committed."""
        try:
            reply = self._ray.get(task.reference)
            unpack(reply["runs"], find_store(task.job.store))
        except self._ray.exceptions.RayError as error:
            if task.ended:
                return ENDED
            if isinstance(error, self._ray.exceptions.RayTaskError):  # raised in the task itself
                return Outcome(status="failed", reason=one_line(error.cause))
            reason = f"lost on the cluster, {RETRIES + 1} times at most: {one_line(error)}"
            return Outcome(status="failed", reason=reason)
        except StoreError as error:
            return Outcome(status="interrupted", reason=str(error))
        return Outcome(status=reply["status"], reason=reply["reason"])


@dataclass
class _Task:
    """A job on the cluster, and the reference to what will come back."""

    job: Job
    reference: Any
    ended: bool = False


class _Board:
    """Where tasks tell their epochs; an actor, since a task can't be listened to."""

    def __init__(self) -> None:
        self._told: list[tuple[int, dict[str, Any]]] = []

    def tell(self, number: int, event: dict[str, Any]) -> None:
        self._told.append((number, event))

    def take(self) -> list[tuple[int, dict[str, Any]]]:
        told, self._told = self._told, []
        return told


def _twins(job: Job, store: Store) -> list[Run]:
    """Saved runs that a fit on all images takes its choices from: it, without the validation part.

    One that read the test split serves as well as one that didn't; see `fit_catalogue_model`.
    """
    if not job.full or job.folds or job.protocol is not None:
        return []
    return [
        run
        for run in store.runs(job.model, job.seed)
        if run.record.overrides == plain(job.overrides)
        and not run.record.asked.full
        and run.record.asked.protocol is None
    ]


def _fit_on_node(
    number: int,
    job: dict[str, Any],
    limits: dict[str, Any],
    program: str,
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
    program
        The module that fits.
    card
        The text of the store's `dataset.json`.
    saved
        A parcel of runs that need not be made again.
    board
        Told of every epoch.

    Returns
    -------
    `status` and `reason` of the outcome, and `runs`, a parcel of the runs that were made.
    """
    with _heeding_interrupts(), TemporaryDirectory(prefix="fittingroom-") as folder:
        (Path(folder) / CARD).write_text(card, "utf8")
        store = find_store(folder)
        known = {run.folder for run in unpack(saved, store)}
        found = find_again(store.card.name, job["dataset"], job["sha256"])
        if found is None:
            reason = (
                f"the node {platform.node()} doesn't have the data set {store.card.name} "
                f"({job['sha256'][:8]}); put its files there and set FITTINGROOM_DATA to them."
            )
            return {"status": "interrupted", "reason": reason, "runs": pack([])}
        here = Job(**{**job, "dataset": str(found.location), "store": folder})
        with Worker(Limits(**limits), threads=1, program=program) as worker:
            outcome = worker.run(here, lambda event: board.tell.remote(number, event))
        made = [run for run in store.runs() if run.folder not in known]
        return {**asdict(outcome), "runs": pack(made)}


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
