from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from fittingroom.bench.executor import Job, Limits, Worker
from fittingroom.data.dataset import Dataset
from fittingroom.runs.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path, small: Dataset) -> Store:
    return open_store(tmp_path, small)


def job(store: Store, small: Dataset, model: str = "knn", **overrides: Any) -> Job:
    return Job(
        dataset=str(small.location),
        sha256=small.sha256,
        store=str(store.folder),
        model=model,
        seed=0,
        full=False,
        overrides=overrides,
    )


def endless(store: Store, small: Dataset) -> Job:
    return job(store, small, "mlp-10-10", epochs=1_000_000)


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def wait_for(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_child_fits_one_job_after_the_other_and_networks_have_their_own(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    epochs: list[int] = []
    with Worker(Limits()) as worker:
        assert worker.run(job(store, small), epochs.append).status == "ok"
        (first,) = children()
        assert "GOMP_SPINCOUNT" not in first.environ()
        assert worker.run(job(store, small, "logistic"), epochs.append).status == "ok"
        assert children() == [first]
        network = job(store, small, "mlp-256-256", epochs=2)
        assert worker.run(network, lambda event: epochs.append(event["epoch"])).status == "ok"
        (second,) = children()
        assert second.environ()["GOMP_SPINCOUNT"] == "1000"
    assert epochs == [1, 2]
    assert {run.record.asked.model for run in store.runs()} == {"knn", "logistic", "mlp-256-256"}
    assert children() == []


def test_a_fit_that_takes_too_long_is_ended(store: Store, small: Dataset) -> None:
    with Worker(Limits(seconds=6)) as worker:
        outcome = worker.run(endless(store, small), lambda _: None)
        assert (outcome.status, outcome.reason) == ("timeout", "took longer than 6 s")
        assert children() == []
    assert store.runs() == []


def test_a_fit_that_needs_too_much_memory_is_ended(store: Store, small: Dataset) -> None:
    with Worker(Limits(memory=100 * 2**20)) as worker:
        outcome = worker.run(endless(store, small), lambda _: None)
    assert outcome.status == "out-of-memory"
    assert outcome.reason == "needed more than 100 MiB of memory"
    assert children() == []


@pytest.mark.slow
def test_a_loss_that_is_not_finite_has_a_status_of_its_own(store: Store, small: Dataset) -> None:
    with Worker(Limits()) as worker:
        diverging = job(store, small, "mlp-256-256", learning_rate=1e30, epochs=3)
        outcome = worker.run(diverging, lambda _: None)
        assert outcome.status == "nan"
        assert outcome.reason is not None
        assert "epoch" in outcome.reason
        # and the worker is still of use
        assert worker.run(job(store, small), lambda _: None).status == "ok"


def test_a_crash_is_told_and_the_next_job_gets_a_new_child(store: Store, small: Dataset) -> None:
    with Worker(Limits()) as worker:
        crash = threading.Thread(target=lambda: (wait_for(children), crash_child()))

        def crash_child() -> None:
            children()[0].send_signal(signal.SIGSEGV)

        crash.start()
        outcome = worker.run(endless(store, small), lambda _: None)
        crash.join()
        assert outcome.status == "failed"
        assert outcome.reason is not None
        assert "signal 11" in outcome.reason
        assert worker.run(job(store, small), lambda _: None).status == "ok"


def test_an_error_is_one_sentence(store: Store, small: Dataset) -> None:
    with Worker(Limits()) as worker:
        outcome = worker.run(job(store, small, "mlp-256-256", epochs=-1), lambda _: None)
    assert outcome.status == "failed"
    assert outcome.reason is not None
    assert "epochs must be a whole number" in outcome.reason
    assert "\n" not in outcome.reason


NOISY = r"""
import os
os.write(1, b"loaded \xff\n7\n{}\nwithout an end")
from fittingroom.bench.worker import main
main()
"""


def test_what_a_library_prints_is_no_event(
    store: Store, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    with Worker(Limits(seconds=60), program="noisy") as worker:
        outcome = worker.run(job(store, small, "mlp-10-10", epochs=1), lambda _: None)
    assert outcome.status == "ok"


def test_changed_data_is_noticed(store: Store, small: Dataset) -> None:
    other = Job(**{**vars(job(store, small)), "sha256": "0" * 64})
    with Worker(Limits()) as worker:
        outcome = worker.run(other, lambda _: None)
    assert outcome.status == "interrupted"
    assert outcome.reason is not None
    assert "changed while it was in use" in outcome.reason


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_the_child_dies_with_its_parent(
    store: Store, small: Dataset, tmp_path: Path, death: signal.Signals
) -> None:
    started = tmp_path / "started"
    script = textwrap.dedent(
        f"""
        from pathlib import Path
        from fittingroom.bench.executor import Job, Limits, Worker
        with Worker(Limits()) as worker:
            job = Job(**{vars(endless(store, small))!r})
            worker.run(job, lambda event: Path({str(started)!r}).touch())
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], env=dict(os.environ))
    wait_for(started.exists, 60)
    (child,) = psutil.Process(parent.pid).children()
    parent.send_signal(death)
    parent.wait()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)
    assert store.runs() == []
