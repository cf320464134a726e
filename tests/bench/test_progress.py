from __future__ import annotations

import pytest

from fittingroom.bench.progress import Progress, Reporter
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.spec import RunSpec

SPEC = RunSpec(dataset="none", model="knn", parameters={}, seed=3)
EPOCH = FitStep(done=1, total=2)


def test_a_fit_is_told_from_its_start_to_its_end() -> None:
    told: list[Progress] = []
    reporter = Reporter(
        told.append,
        total=4,
        done=1,
        at_once=lambda: 2,
        name=lambda spec: f"my {spec.model}",
        expected=lambda _: 7.5,
    )
    reporter.started(SPEC)
    assert reporter.stepped(SPEC, EPOCH) is False, "it goes on"
    reporter.ended(Attempt(spec=SPEC, status="ok"), note="a remark")
    assert [(step.kind, step.done, step.step) for step in told] == [
        *(("started", 1, None), ("step", 1, EPOCH), ("saved", 2, None))
    ]
    assert {(step.model, step.seed, step.total, step.at_once) for step in told} == {
        ("my knn", 3, 4, 2)
    }
    assert {step.expected for step in told} == {7.5}
    assert told[-1].note == "a remark"


def test_a_failure_may_end_more_runs_but_never_more_than_there_are() -> None:
    told: list[Progress] = []
    reporter = Reporter(told.append, total=5)
    failure = Attempt(spec=SPEC, status="nan", reason="the loss became nan")
    reporter.ended(failure, runs=3)
    reporter.ended(failure, runs=3, reason="in short")
    assert [(step.kind, step.runs, step.done, step.reason) for step in told] == [
        ("failed", 3, 3, "the loss became nan"),
        ("failed", 3, 5, "in short"),
    ]


@pytest.mark.parametrize(("reason", "kind"), [(None, "saved"), ("too slow", "failed")])
def test_runs_without_a_fit_are_saved_or_left_out(reason: str | None, kind: str) -> None:
    told: list[Progress] = []
    Reporter(told.append, total=5).skipped("knn", 2, seed=1, reason=reason)
    (step,) = told
    assert (step.kind, step.done, step.seed, step.reason) == (kind, 2, 1, reason)
