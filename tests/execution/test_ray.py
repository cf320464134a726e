from __future__ import annotations

import _thread
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call
from zipfile import ZipFile

import numpy as np
import psutil
import pytest
from scale import CLUSTER_ENVIRONMENT, fitting_on, simulated_cluster

from fittingroom.data.dataset import Dataset
from fittingroom.errors import ClusterError, UsageError
from fittingroom.execution.executor import open_executor
from fittingroom.execution.job import Job, Limits
from fittingroom.execution.ray import RayExecutor, _Board, _fit_on_node, _import_ray, _Task
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.dataset_card import CARD
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store, find_store, open_store
from fittingroom.runs.transfer import pack, unpack

SMALL = Path(__file__).parents[1] / "data" / "fashion-mnist-small"
EPOCHS = {"epochs": 2}
Children = Callable[..., list[psutil.Process]]


class Handle:
    """A handle of an actor, as a task has it."""

    def __init__(self, board: _Board) -> None:
        self.report = self
        self._board = board

    def remote(self, number: int, step: dict[str, Any]) -> None:
        self._board.report(number, step)


@pytest.fixture
def store(tmp_path: Path, small: Dataset) -> Store:
    return open_store(tmp_path / "runs", small)


def on_node(job: Job, store: Store, board: _Board, saved: bytes, **limits: Any) -> dict[str, Any]:
    """Call the task in this process, as Ray does."""
    card = (store.folder / CARD).read_text()
    limited = asdict(Limits(**limits))
    return _fit_on_node(7, asdict(job), limited, card, saved, Handle(board))


def job_of(
    store: Store,
    small: Dataset,
    model: str = "mlp-10-10",
    *,
    settings: Mapping[str, Any] = EPOCHS,
    seed: int = 1,
    **asked: Any,
) -> Job:
    spec = spec_of(small, model, settings=settings, seed=seed, **asked)
    return Job(spec=spec, dataset=str(small.location), store=str(store.folder))


def endless_job(store: Store, small: Dataset, seed: int = 1) -> Job:
    return job_of(store, small, settings={"epochs": 1_000_000}, seed=seed)


def test_a_task_sends_its_new_runs_back_and_keeps_nothing(
    store: Store, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a full fit whose reference run is sent along, only that fit.

    It is as one here would be.
    """
    monkeypatch.setenv("TMPDIR", str(tmp_path / "node"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "node").mkdir()
    board = _Board()
    full = job_of(store, small, full=True, reads_test=False)
    reference = fit(full.spec.references[0], small, store, keep_model=False)
    reply = on_node(full, store, board, pack([reference]))
    assert (reply["status"], reply["reason"]) == ("ok", None)
    assert not list((tmp_path / "node").iterdir())
    steps = [(number, FitStep(**step)) for number, step in board.take()]
    assert [(number, step.done, step.total) for number, step in steps] == [(7, 1, 2), (7, 2, 2)]
    assert board.take() == []
    assert [run.folder for run in store.runs()] == [reference.folder]  # nothing is committed yet

    (run,) = unpack(reply["runs"], store)
    assert run.record.spec == full.spec
    expected = fit(full.spec, small, open_store(tmp_path / "here", small))
    assert expected.record.spec == run.record.spec
    assert (run.folder / "model" / "weights.safetensors").read_bytes() == (
        expected.folder / "model" / "weights.safetensors"
    ).read_bytes()


def test_limits_and_failures_come_back_unchanged(store: Store, small: Dataset) -> None:
    reply = on_node(endless_job(store, small), store, _Board(), pack([]), memory=100 * 2**20)
    assert reply["status"] == "out-of-memory"
    assert unpack(reply["runs"], store) == []


def test_an_interrupt_ends_a_task_even_if_it_was_ignored_before(
    store: Store,
    small: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    children: Children,
) -> None:
    """As Ray interrupts, by `interrupt_main`, which does nothing if SIGINT is ignored."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "node"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "node").mkdir()
    board = _Board()
    monkeypatch.setattr(board, "report", lambda number, step: _thread.interrupt_main())
    limits = {"seconds": 60.0}  # in case it is ignored
    with ignoring_interrupts():
        with pytest.raises(KeyboardInterrupt):
            on_node(endless_job(store, small), store, board, pack([]), **limits)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    assert not list((tmp_path / "node").iterdir())
    assert children() == []


@contextmanager
def ignoring_interrupts() -> Iterator[None]:
    """Also in processes started inside, as in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_node_without_the_data_says_so(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FITTINGROOM_DATA", raising=False)
    job = replace(job_of(store, small), dataset="/nowhere")
    reply = on_node(job, store, _Board(), pack([]))
    assert reply["status"] == "interrupted"
    assert f"doesn't have the data set {small.name} ({small.sha256[:8]})" in reply["reason"]
    assert "\n" not in reply["reason"]


def test_without_ray_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="pip install"), open_executor("ray", Limits()):
        pass


class RayWithoutCluster:
    """The parts of Ray that are used, when the cluster is gone."""

    get: Mock  # if a test sets one

    def __init__(self) -> None:
        self.exceptions = _import_ray().exceptions

    def is_initialized(self) -> bool:
        return False

    def cluster_resources(self) -> dict[str, float]:
        pytest.fail("Ray would start a cluster to answer that")

    def wait(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError("Client is shutting down.")

    def cancel(self, *_: Any, **__: Any) -> None:
        pytest.fail("Ray would start a cluster to end that on")


class Fitting:
    """The remote function; records its calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def remote(self, *arguments: Any) -> object:
        self.calls.append(arguments)
        return object()


def unconnected(ray: Any) -> RayExecutor:
    """An executor with a fake Ray."""
    executor = RayExecutor(Limits(), None)
    executor._ray, executor._fit, executor._board = ray, Fitting(), Mock()
    return executor


def test_a_cluster_that_goes_away_is_one_sentence(store: Store, small: Dataset) -> None:
    executor = unconnected(RayWithoutCluster())
    executor.submit(job_of(store, small))
    with pytest.raises(ClusterError, match=r"went away \(ConnectionError: .*\); .* saved"):
        executor.next_event()
    executor.stop_all()  # which doesn't use the cluster
    assert executor.at_once == 1


def test_a_cluster_that_is_gone_at_submit_is_one_sentence(store: Store, small: Dataset) -> None:
    executor = unconnected(RayWithoutCluster())
    executor._fit = Mock(remote=Mock(side_effect=ConnectionError("Client is shutting down.")))
    with pytest.raises(ClusterError, match=r"went away \(ConnectionError: .*\); .* saved"):
        executor.submit(job_of(store, small))


def test_as_many_fits_run_as_the_cluster_has_processors() -> None:
    """Even when nodes come or go; while the cluster is unreachable, as many as before."""
    ray = RayWithoutCluster()
    ray.is_initialized = lambda: True  # type: ignore[method-assign]
    processors: list[Any] = [{"CPU": 2.0}, {"CPU": 3.0}, ConnectionError("away")]
    ray.cluster_resources = Mock(side_effect=processors)  # type: ignore[method-assign]
    executor = unconnected(ray)
    assert [executor.at_once for _ in range(3)] == [2, 3, 3]


def test_an_error_on_a_node_is_its_reason(store: Store, small: Dataset) -> None:
    """The error itself, not that the job was lost, and without Ray's prefix."""
    ray = RayWithoutCluster()
    full = OSError(28, "No space left on device")
    told = ray.exceptions.RayTaskError("_fit_on_node", "Traceback ...", full, pid=1, ip="::1")
    lost = ray.exceptions.WorkerCrashedError()
    ray.get = Mock(side_effect=[told.as_instanceof_cause(), lost])
    executor, task = unconnected(ray), _Task(job_of(store, small), object())
    attempt = executor._attempt(task)
    assert (attempt.status, attempt.reason) == ("failed", f"OSError: {full}")
    assert (executor._attempt(task).reason or "").startswith("lost on the cluster")


class RayInThisProcess:
    """A cluster whose tasks report and end when a test says so.

    It stands for all that an executor has of Ray: the module, the board and the remote function.
    """

    def __init__(self) -> None:
        self.exceptions = _import_ray().exceptions
        self.references: list[object] = []
        self.cancelled: list[tuple[object, bool]] = []
        self.told: list[tuple[int, dict[str, Any]]] = []
        self.replies: dict[object, Any] = {}
        self.take = Mock(remote=Mock(return_value=self))

    def is_initialized(self) -> bool:
        return True

    def remote(self, *_: Any) -> object:
        self.references.append(object())
        return self.references[-1]

    def wait(self, references: list[object], **_: Any) -> tuple[list[object], list[object]]:
        assert references, "Ray refuses to wait for nothing"
        over = [reference for reference in references if reference in self.replies]
        return over, [reference for reference in references if reference not in over]

    def get(self, what: object, **_: Any) -> Any:
        if what is self:
            told, self.told = self.told, []
            return told
        if isinstance(self.replies[what], Exception):
            raise self.replies[what]
        return self.replies[what]

    def cancel(self, reference: object, *, force: bool = False) -> None:
        self.cancelled.append((reference, force))
        cancelled = self.exceptions.TaskCancelledError()
        self.replies.setdefault(reference, cancelled)

    def step(self, number: int, done: int) -> None:
        """Report a step of the task with that number."""
        self.told.append((number, asdict(FitStep(done=done, total=9, accuracy=0.5))))

    def end(self, number: int) -> None:
        self.replies[self.references[number]] = {"status": "ok", "reason": None, "runs": pack([])}


@pytest.fixture
def ray() -> RayInThisProcess:
    return RayInThisProcess()


def connected(ray: RayInThisProcess) -> RayExecutor:
    executor = RayExecutor(Limits(), None)
    executor._ray, executor._fit, executor._board = ray, ray, ray
    return executor


def test_steps_and_attempts_belong_to_their_jobs(
    ray: RayInThisProcess, store: Store, small: Dataset
) -> None:
    executor, jobs = connected(ray), [endless_job(store, small, seed) for seed in (0, 1)]
    for job in jobs:
        executor.submit(job)
    ray.step(1, 1)
    ray.step(0, 1)
    ray.step(1, 2)
    events = [executor.next_event() for _ in range(3)]
    assert [(job.spec.seed, event.done) for job, event in events] == [  # type: ignore[union-attr]
        *((1, 1), (0, 1), (1, 2))
    ]
    assert events[0][1] == FitStep(done=1, total=9, accuracy=0.5)
    ray.step(0, 2)
    ray.end(0)
    assert executor.next_event()[1] == FitStep(done=2, total=9, accuracy=0.5), "its end comes last"
    assert executor.next_event() == (jobs[0], Attempt(spec=jobs[0].spec, status="ok"))


def test_a_stopped_task_is_interrupted_and_its_attempt_is_stopped(
    ray: RayInThisProcess, store: Store, small: Dataset
) -> None:
    executor, jobs = connected(ray), [endless_job(store, small, seed) for seed in (0, 1)]
    for job in jobs:
        executor.submit(job)
    ray.step(0, 1)
    assert executor.next_event()[0] is jobs[0]
    executor.stop(jobs[0])
    assert ray.cancelled == [(ray.references[0], False)], "the other one goes on"
    ray.step(0, 2)  # which was on its way here
    ray.step(1, 1)
    assert executor.next_event() == (jobs[1], FitStep(done=1, total=9, accuracy=0.5))
    assert executor.next_event() == (jobs[0], Attempt(spec=jobs[0].spec, status="stopped"))


def test_steps_of_a_stopped_task_are_dropped(
    ray: RayInThisProcess, store: Store, small: Dataset
) -> None:
    """Two of its steps may have arrived together, of which the first one was enough."""
    executor, job = connected(ray), endless_job(store, small)
    executor.submit(job)
    ray.step(0, 1)
    ray.step(0, 2)
    assert executor.next_event()[1] == FitStep(done=1, total=9, accuracy=0.5)
    executor.stop(job)
    assert executor.next_event() == (job, Attempt(spec=job.spec, status="stopped"))


def test_a_task_that_has_already_ended_can_be_stopped(
    ray: RayInThisProcess, store: Store, small: Dataset
) -> None:
    """Its last step and its end may have arrived together; it is still `ok`."""
    executor, job = connected(ray), endless_job(store, small)
    executor.submit(job)
    ray.step(0, 9)
    ray.end(0)
    assert executor.next_event()[1] == FitStep(done=9, total=9, accuracy=0.5)
    executor.stop(job)
    assert executor.next_event() == (job, Attempt(spec=job.spec, status="ok"))


def test_stop_all_drops_all_events(ray: RayInThisProcess, store: Store, small: Dataset) -> None:
    executor = connected(ray)
    for seed in (0, 1):
        executor.submit(endless_job(store, small, seed))
        ray.step(seed, 1)
    executor.next_event()
    executor.stop_all()
    assert ray.cancelled == [(reference, False) for reference in ray.references]
    ray.step(0, 2)
    job = job_of(store, small)
    executor.submit(job)
    ray.end(2)
    assert executor.next_event() == (job, Attempt(spec=job.spec, status="ok"))


def test_a_task_that_ignores_an_interrupt_is_killed(
    ray: RayInThisProcess, store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, job = connected(ray), endless_job(store, small)
    cancel = Mock()
    monkeypatch.setattr(ray, "cancel", cancel)
    executor.submit(job)
    executor.stop_all()
    (reference,) = ray.references
    assert cancel.call_args_list == [call(reference), call(reference, force=True)]


def test_a_job_carries_its_reference_runs_and_nothing_else(store: Store, small: Dataset) -> None:
    """Not every run of that model: a search over folds has many."""
    for epochs in (1, 2):
        job = job_of(store, small, settings={"epochs": epochs})
        reference = fit(job.spec, small, store, keep_model=False)
    full = job_of(store, small, full=True)
    fit(full.spec, small, store, keep_model=False)
    protocol: dict[str, Any] = {"notes": ["selected-on-test"], "split": {}, "until": None}
    executor = unconnected(RayWithoutCluster())
    options: list[dict[str, Any]] = [
        {"full": True},
        {"full": True, "folds": 3},
        {},
        {"protocol": protocol},
    ]
    for each in options:
        executor.submit(job_of(store, small, **each))
    carried = [ZipFile(io.BytesIO(call[4])).namelist() for call in executor._fit.calls]
    assert {Path(name).parent.name for name in carried[0]} == {reference.folder.name}
    assert carried[1:] == [[], [], []]


COMPARE = [
    *(sys.executable, "-m", "fittingroom.cli.main", "compare", "--dataset", str(SMALL)),
    *("--models", "knn,mlp-256-256,mlp-10-10", "--seeds", "3", "--format", "json", "--json"),
]


@pytest.fixture
def short_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder for Ray's files: the path of a socket must be short."""
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short_folder: None) -> Iterator[Any]:
    """A head that fits nothing and two nodes with a processor each, all on this machine.

    Started as from the background of a script.
    """
    for name, value in CLUSTER_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)  # undone afterwards
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with ExitStack() as ending:
        with ignoring_interrupts():
            cluster, workers = ending.enter_context(simulated_cluster())
        cluster.workers = workers
        cluster.left_on_nodes = lambda: list(tmp_path.glob("fittingroom-*"))
        yield cluster


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed afterwards, with its children."""
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(condition: Any) -> Any:
    """Wait until a condition is true, and return its value."""
    deadline = time.monotonic() + 240
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return found


def is_over(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("default")  # from Ray's own code
def test_a_lost_node_costs_only_time(cluster: Any, tmp_path: Path) -> None:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [*COMPARE, "--on", "ray", "--runs", str(tmp_path / "ray")]
    environment = {**os.environ, "RAY_ADDRESS": cluster.address}
    lost = cluster.workers[1]
    with running(command, env=environment, **pipes) as started:
        wait_for(lambda: len(list(tmp_path.glob("ray/*/*/*/run.json"))) >= 2)
        (fitting,) = wait_for(lambda: fitting_on(lost))
        cluster.remove_node(lost, allow_graceful=False)
        wait_for(lambda: is_over(fitting))
        stdout, stderr = started.communicate(timeout=240)
    assert started.returncode == 0, stderr
    assert stdout.startswith("{"), stdout
    assert "raylet" not in stderr

    done = subprocess.run(
        [*COMPARE, "--runs", str(tmp_path / "here")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert_same_runs(tmp_path / "ray", tmp_path / "here", 7)


def assert_same_runs(on_ray: Path, here: Path, n: int) -> None:
    """Bit for bit."""
    runs = find_store(on_ray).runs()
    assert len(runs) == n
    for one, other in zip(runs, find_store(here).runs(), strict=True):
        assert one.record.spec == other.record.spec
        for part in ("validation", "test", "out_of_fold"):
            found, expected = getattr(one, part), getattr(other, part)
            assert (found is None) == (expected is None)
            if found is not None:
                np.testing.assert_array_equal(found.probabilities, expected.probabilities)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("command", "kept_in"),
    [
        (("verify", "leak.toml", "--seeds", "1"), "."),
        (("tune", "knn", "--space", "space.toml", "--sampler", "grid", "--folds", "2"), "tune"),
    ],
)
def test_claims_and_searches_have_the_same_results_on_a_cluster(
    cluster: Any, tmp_path: Path, command: tuple[str, ...], kept_in: str, small_folder: Path
) -> None:
    (tmp_path / "leak.toml").write_bytes((small_folder.parent / "leak.toml").read_bytes())
    (tmp_path / "space.toml").write_text("n_neighbors = [1, 5]\n")
    for folder, on in (("ray", "ray"), ("here", "local:1")):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "fittingroom.cli.main", *command),
                *("--dataset", str(small_folder), "--runs", folder, "--on", on),
            ],
            cwd=tmp_path,
            env={**os.environ, "RAY_ADDRESS": cluster.address},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert_same_runs(tmp_path / "ray" / kept_in, tmp_path / "here" / kept_in, 2)


SCRIPT = """
import json, sys
from fittingroom.execution.executor import open_executor
from fittingroom.execution.job import Job, Limits
from fittingroom.runs.attempt import Attempt

stepped, under_way = set(), 0
with open_executor("ray", Limits()) as executor:
    try:
        for fields in json.loads(sys.argv[1]):
            executor.submit(Job.from_dict(fields))
            under_way += 1
        while under_way:
            job, event = executor.next_event()
            if isinstance(event, Attempt):
                under_way -= 1
                print(json.dumps([job.spec.model, event.status]), flush=True)
                continue
            if event.done > 1:
                stepped.add(job.spec.seed)
            if len(stepped) == 2:
                raise KeyboardInterrupt
            if job.spec.seed == 1 and event.done > 1:
                executor.stop(job)
    finally:
        executor.stop_all()
"""


def run_script(cluster: Any, *jobs: Job) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([asdict(job) for job in jobs])],
        env={**os.environ, "RAY_ADDRESS": cluster.address},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("default")
def test_a_job_can_be_stopped_before_its_last_epoch(
    cluster: Any, store: Store, small: Dataset
) -> None:
    """And leaves nothing on its node, whether it is stopped alone or with all others."""
    knn = job_of(store, small, "knn", settings={})
    done = run_script(cluster, endless_job(store, small), knn)
    assert done.returncode == 0, done.stderr
    statuses = dict(json.loads(line) for line in done.stdout.splitlines())
    assert statuses == {"mlp-10-10": "stopped", "knn": "ok"}
    assert not any(fitting_on(node) for node in cluster.workers)
    assert [run.record.spec.model for run in store.runs()] == ["knn"]
    assert cluster.left_on_nodes() == []

    done = run_script(cluster, *(endless_job(store, small, seed) for seed in (2, 3)))
    assert "KeyboardInterrupt" in done.stderr
    assert done.stdout == ""
    assert not any(fitting_on(node) for node in cluster.workers)
    assert cluster.left_on_nodes() == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("default")
def test_losing_the_head_is_one_sentence_and_costs_no_finished_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_folder: None
) -> None:
    """For a client; Ray itself ends a node that loses its head."""
    for name, value in {**CLUSTER_ENVIRONMENT, "RAY_CLIENT_RECONNECT_GRACE_PERIOD": "2"}.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    models = ("--models", "knn,cnn-32", "--on", f"ray://127.0.0.1:{port}")
    command = [*COMPARE, *models, "--runs", str(tmp_path)]
    with (
        simulated_cluster(ray_client_server_port=port) as (cluster, _),
        running(command, stderr=subprocess.PIPE, text=True) as started,
    ):
        wait_for(lambda: list(tmp_path.glob("*/knn/*/run.json")))
        cluster.remove_node(cluster.head_node, allow_graceful=False)
        _, stderr = started.communicate(timeout=240)
    assert started.returncode == 1
    assert "fittingroom: the Ray cluster went away" in stderr
    assert "Traceback" not in stderr
    assert "knn" in {run.record.spec.model for run in find_store(tmp_path).runs()}


@pytest.mark.slow
def test_no_cluster_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMPARE, "--on", "ray://127.0.0.1:9", "--runs", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "fittingroom: no Ray cluster at ray://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_cluster_started_here_listens_on_localhost_only(tmp_path: Path) -> None:
    script = (
        "import psutil\n"
        "from fittingroom.execution.job import Limits\n"
        "from fittingroom.execution.ray import RayExecutor\n"
        "with RayExecutor(Limits(), None):\n"
        "    for process in psutil.Process().children(recursive=True):\n"
        "        for socket in process.net_connections('inet'):\n"
        "            if socket.status == 'LISTEN':\n"
        "                print(socket.laddr.ip, process.name())\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    listening = done.stdout.splitlines()
    assert any("gcs_server" in line for line in listening)
    assert {line.split()[0] for line in listening} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
