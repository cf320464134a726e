from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.execution.job import Job, Limits
from fittingroom.execution.process import CHILD, FitProcess
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store

MakeJob = Callable[..., Job]


def test_an_error_is_one_sentence(job: MakeJob) -> None:
    asked = job("mlp-256-256", epochs=1)
    wrong = replace(asked, spec=replace(asked.spec, settings={"epochs": -1}))
    with FitProcess(Limits()) as process:
        attempt = process.fit(wrong, lambda step: None)
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
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setattr("fittingroom.execution.process.CHILD", "noisy")
    monkeypatch.setattr("fittingroom.execution.process.start_copy", lambda *_: None)
    with FitProcess(Limits(seconds=60)) as process:
        attempt = process.fit(job("mlp-10-10", epochs=1), lambda step: None)
    assert attempt.status == "ok"


def test_changed_data_is_an_error(job: MakeJob) -> None:
    asked = job()
    other = replace(asked, spec=replace(asked.spec, dataset="0" * 64))
    with FitProcess(Limits()) as process:
        attempt = process.fit(other, lambda step: None)
    assert attempt.status == "interrupted"
    assert attempt.reason is not None
    assert "changed while it was in use" in attempt.reason


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


def test_a_model_is_kept_unless_the_job_says_otherwise(job: MakeJob, store: Store) -> None:
    kept, other = job(), job(n_neighbors=3)
    with FitProcess(Limits()) as process:
        for each in (kept, replace(other, keep_model=False)):
            assert process.fit(each, lambda step: None).status == "ok"
    for each, expected in ((kept, True), (other, False)):
        run = store.find(each.spec)
        assert run is not None
        assert (run.folder / "model").exists() == expected


def start(parent: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", CHILD, str(parent)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_an_interrupt_does_not_end_a_child_but_the_end_of_its_jobs_does() -> None:
    with start(os.getpid()) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "\n"  # it is ready
        child.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.2)
        assert child.communicate(timeout=60)[0] == ""
    assert child.returncode == 0


def test_a_child_whose_parent_is_gone_ends_at_once(job: MakeJob, store: Store) -> None:
    with start(parent=1) as child:
        written, _ = child.communicate(json.dumps(asdict(job())) + "\n", timeout=60)
    assert (written, child.returncode) == ("", 1)
    assert store.runs() == []
