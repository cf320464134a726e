from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from fittingroom.execution.job import Job, Limits
from fittingroom.execution.process import FitProcess
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.store import Store

MakeJob = Callable[..., Job]
Children = Callable[..., list[psutil.Process]]


def ignore(step: FitStep) -> None:
    pass


def endless(job: MakeJob) -> Job:
    return job("mlp-10-10", epochs=1_000_000)


def wait_for(condition: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_child_fits_one_job_after_another_and_networks_get_their_own(
    job: MakeJob, store: Store, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    steps: list[FitStep] = []
    with FitProcess(Limits()) as process:
        knn = job()
        assert process.fit(knn, steps.append) == Attempt(spec=knn.spec, status="ok")
        (first,) = children()
        assert "GOMP_SPINCOUNT" not in first.environ()
        assert process.fit(job("logistic"), steps.append).status == "ok"
        assert children() == [first]
        network = job("mlp-256-256", epochs=2)
        assert process.fit(network, steps.append).status == "ok"
        (second,) = children()
        assert second.environ()["GOMP_SPINCOUNT"] == "1000"
    assert [(step.done, step.total, step.unit) for step in steps] == [
        *((1, 2, "epoch"), (2, 2, "epoch"))
    ]
    (run,) = store.runs("mlp-256-256")
    logged = [epoch.validation_accuracy for epoch in run.history]
    assert [step.accuracy for step in steps] == logged
    assert {run.record.spec.model for run in store.runs()} == {"knn", "logistic", "mlp-256-256"}
    assert children() == []


def test_a_fit_that_takes_too_long_is_killed(
    job: MakeJob, store: Store, children: Children
) -> None:
    with FitProcess(Limits(seconds=6)) as process:
        attempt = process.fit(endless(job), ignore)
        assert (attempt.status, attempt.reason) == ("timeout", "took longer than 6 s")
        assert children() == []
    assert store.runs() == []


def test_a_fit_that_needs_too_much_memory_is_killed(job: MakeJob, children: Children) -> None:
    with FitProcess(Limits(memory=100 * 2**20)) as process:
        attempt = process.fit(endless(job), ignore)
    assert attempt.status == "out-of-memory"
    assert attempt.reason == "needed more than 100 MiB of memory"
    assert children() == []


@pytest.mark.slow
def test_a_loss_that_is_not_finite_has_a_status_of_its_own(job: MakeJob) -> None:
    with FitProcess(Limits()) as process:
        diverging = job("mlp-256-256", learning_rate=1e30, epochs=3)
        attempt = process.fit(diverging, ignore)
        assert attempt.status == "nan"
        assert attempt.reason is not None
        assert "epoch" in attempt.reason
        # the process is still usable
        assert process.fit(job(), ignore).status == "ok"


def test_a_crash_is_reported_and_the_next_job_gets_a_new_child(
    job: MakeJob, children: Children
) -> None:
    with FitProcess(Limits()) as process:

        def crash_child() -> None:
            wait_for(children)
            children()[0].send_signal(signal.SIGSEGV)

        crash = threading.Thread(target=crash_child)
        crash.start()
        attempt = process.fit(endless(job), ignore)
        crash.join()
        assert attempt.status == "failed"
        assert attempt.reason is not None
        assert "signal 11" in attempt.reason
        assert process.fit(job(), ignore).status == "ok"


@pytest.mark.parametrize(
    "death", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_the_child_dies_with_its_parent(
    job: MakeJob, store: Store, tmp_path: Path, death: signal.Signals, children: Children
) -> None:
    started = tmp_path / "started"
    script = textwrap.dedent(
        f"""
        import json
        from pathlib import Path
        from fittingroom.execution.job import Job, Limits
        from fittingroom.execution.process import FitProcess
        with FitProcess(Limits()) as process:
            job = Job.from_dict(json.loads({json.dumps(asdict(endless(job)))!r}))
            process.fit(job, lambda step: Path({str(started)!r}).touch())
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], env=dict(os.environ))
    wait_for(started.exists, 60)
    (child,) = children(psutil.Process(parent.pid))
    parent.send_signal(death)
    parent.wait()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)
    assert store.runs() == []


def test_a_process_that_another_thread_kills_ends_its_fit(job: MakeJob, children: Children) -> None:
    with FitProcess(Limits(seconds=60)) as process:
        attempt = process.fit(endless(job), lambda step: process.kill())
        assert attempt.status == "out-of-memory", "as when the system kills it"
        assert children() == []
        assert process.fit(job(), ignore).status == "ok"
