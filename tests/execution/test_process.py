from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.execution.job import Job, Limits
from fittingroom.execution.process import FitProcess
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store


def job(store: Store, small: Dataset, model: str = "knn", **settings: Any) -> Job:
    spec = spec_of(small, model, settings=settings)
    return Job(spec=spec, dataset=str(small.location), store=str(store.folder))


def ignore(step: FitStep) -> None:
    pass


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
def test_a_child_fits_one_job_after_another_and_networks_get_their_own(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    steps: list[FitStep] = []
    with FitProcess(Limits()) as process:
        knn = job(store, small)
        assert process.fit(knn, steps.append) == Attempt(spec=knn.spec, status="ok")
        (first,) = children()
        assert "GOMP_SPINCOUNT" not in first.environ()
        assert process.fit(job(store, small, "logistic"), steps.append).status == "ok"
        assert children() == [first]
        network = job(store, small, "mlp-256-256", epochs=2)
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


def test_a_fit_that_takes_too_long_is_killed(store: Store, small: Dataset) -> None:
    with FitProcess(Limits(seconds=6)) as process:
        attempt = process.fit(endless(store, small), ignore)
        assert (attempt.status, attempt.reason) == ("timeout", "took longer than 6 s")
        assert children() == []
    assert store.runs() == []


def test_a_fit_that_needs_too_much_memory_is_killed(store: Store, small: Dataset) -> None:
    with FitProcess(Limits(memory=100 * 2**20)) as process:
        attempt = process.fit(endless(store, small), ignore)
    assert attempt.status == "out-of-memory"
    assert attempt.reason == "needed more than 100 MiB of memory"
    assert children() == []


@pytest.mark.slow
def test_a_loss_that_is_not_finite_has_a_status_of_its_own(store: Store, small: Dataset) -> None:
    with FitProcess(Limits()) as process:
        diverging = job(store, small, "mlp-256-256", learning_rate=1e30, epochs=3)
        attempt = process.fit(diverging, ignore)
        assert attempt.status == "nan"
        assert attempt.reason is not None
        assert "epoch" in attempt.reason
        # the process is still usable
        assert process.fit(job(store, small), ignore).status == "ok"


def test_a_crash_is_reported_and_the_next_job_gets_a_new_child(
    store: Store, small: Dataset
) -> None:
    with FitProcess(Limits()) as process:

        def crash_child() -> None:
            wait_for(children)
            children()[0].send_signal(signal.SIGSEGV)

        crash = threading.Thread(target=crash_child)
        crash.start()
        attempt = process.fit(endless(store, small), ignore)
        crash.join()
        assert attempt.status == "failed"
        assert attempt.reason is not None
        assert "signal 11" in attempt.reason
        assert process.fit(job(store, small), ignore).status == "ok"


def test_an_error_is_one_sentence(store: Store, small: Dataset) -> None:
    asked = job(store, small, "mlp-256-256", epochs=1)
    wrong = replace(asked, spec=replace(asked.spec, settings={"epochs": -1}))
    with FitProcess(Limits()) as process:
        attempt = process.fit(wrong, ignore)
    assert attempt.status == "failed"
    assert attempt.reason is not None
    assert "epochs must be a whole number" in attempt.reason
    assert "\n" not in attempt.reason


NOISY = r"""
import os
os.write(1, b"loaded \xff\n7\n{}\nwithout an end")
from fittingroom.execution.child import main
main()
"""


def test_output_of_a_library_is_not_an_event(
    store: Store, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setattr("fittingroom.execution.process.CHILD", "noisy")
    with FitProcess(Limits(seconds=60)) as process:
        attempt = process.fit(job(store, small, "mlp-10-10", epochs=1), ignore)
    assert attempt.status == "ok"


def test_changed_data_is_an_error(store: Store, small: Dataset) -> None:
    asked = job(store, small)
    other = replace(asked, spec=replace(asked.spec, dataset="0" * 64))
    with FitProcess(Limits()) as process:
        attempt = process.fit(other, ignore)
    assert attempt.status == "interrupted"
    assert attempt.reason is not None
    assert "changed while it was in use" in attempt.reason


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_the_child_dies_with_its_parent(
    store: Store, small: Dataset, tmp_path: Path, death: signal.Signals
) -> None:
    started = tmp_path / "started"
    script = textwrap.dedent(
        f"""
        import json
        from pathlib import Path
        from fittingroom.execution.job import Job, Limits
        from fittingroom.execution.process import FitProcess
        with FitProcess(Limits()) as process:
            job = Job.from_dict(json.loads({json.dumps(asdict(endless(store, small)))!r}))
            process.fit(job, lambda step: Path({str(started)!r}).touch())
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], env=dict(os.environ))
    wait_for(started.exists, 60)
    (child,) = psutil.Process(parent.pid).children()
    parent.send_signal(death)
    parent.wait()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)
    assert store.runs() == []


def test_a_job_uses_the_spec_unchanged(store: Store, small: Dataset) -> None:
    """Full runs, folds and published protocols too; to a child they are all the same."""
    protocol = {
        "notes": ["trained-on-test"],
        "split": {"kind": "official", "test": None, "validation": None, "seed": None},
        "until": None,
    }
    specs = [
        spec_of(small, "knn", full=True, reads_test=False),
        spec_of(small, "knn", folds=2),
        spec_of(small, "knn", settings={"n_neighbors": 1}, protocol=protocol),
    ]
    steps: list[FitStep] = []
    where = {"dataset": str(small.location), "store": str(store.folder)}
    with FitProcess(Limits()) as process:
        for spec in specs:
            attempt = process.fit(Job(spec=spec, keep_model=False, **where), steps.append)
            assert attempt == Attempt(spec=spec, status="ok")
    full, folds, as_used = (store.find(spec) for spec in specs)
    assert full is not None
    assert (full.test, full.validation, full.record.trained_on) == (None, None, 2000)
    assert folds is not None
    assert folds.out_of_fold is not None
    assert [(step.done, step.total, step.unit) for step in steps] == [
        *((1, 2, "fold"), (2, 2, "fold"))
    ]
    assert as_used is not None
    assert as_used.measured is not None
    assert as_used.measured.correct.all()
    assert [run.record.spec for run in store.runs() if (run.folder / "model").exists()] == []


def test_a_model_is_kept_unless_the_job_says_otherwise(store: Store, small: Dataset) -> None:
    kept, other = job(store, small), job(store, small, n_neighbors=3)
    with FitProcess(Limits()) as process:
        for each in (kept, replace(other, keep_model=False)):
            assert process.fit(each, ignore).status == "ok"
    for each, expected in ((kept, True), (other, False)):
        run = store.find(each.spec)
        assert run is not None
        assert (run.folder / "model").exists() == expected


def test_a_process_that_another_thread_kills_ends_its_fit(store: Store, small: Dataset) -> None:
    with FitProcess(Limits(seconds=60)) as process:
        attempt = process.fit(endless(store, small), lambda step: process.kill())
        assert attempt.status == "out-of-memory", "as when the system kills it"
        assert children() == []
        assert process.fit(job(store, small), ignore).status == "ok"
