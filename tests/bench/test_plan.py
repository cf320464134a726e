from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from fittingroom.bench.comparison import Comparison
from fittingroom.bench.entrant import entrants_of
from fittingroom.bench.executor import Job, Limits, Outcome
from fittingroom.bench.placement import OnEvent
from fittingroom.bench.plan import Plan
from fittingroom.bench.progress import Progress
from fittingroom.data.dataset import Dataset
from fittingroom.runs.store import Store, open_store

OK = Outcome(status="ok")


class GoesOnError(Exception):
    """The script has ended, and there were jobs left."""


class Scripted:
    """A placement whose jobs end in a given order, in a given way; it fits nothing."""

    at_once = 2

    def __init__(self, *script: tuple[str, int, Outcome]) -> None:
        self._script = script
        self.drawn: list[tuple[str, int]] = []

    def run(self, jobs: Iterable[Job], on_event: OnEvent) -> Iterator[tuple[Job, Outcome]]:
        under_way: dict[tuple[str, int], Job] = {}
        left = iter(jobs)
        for model, seed, outcome in self._script:
            while len(under_way) < 2 and (job := next(left, None)) is not None:
                under_way[job.model, job.seed] = job
                self.drawn.append((job.model, job.seed))
                on_event(job, {"event": "started"})
            yield under_way.pop((model, seed)), outcome
        if under_way or next(left, None) is not None:
            raise GoesOnError


def plan_of(
    store: Store,
    small: Dataset,
    steps: list[Progress],
    models: Sequence[str] = ("mlp-256-256", "knn"),
) -> Plan:
    return Plan(
        small,
        store,
        entrants_of(models),
        seeds=4,
        full=False,
        command="the command",
        on_progress=steps.append,
    )


def fit(plan: Plan, small: Dataset, placement: Scripted, seconds: float | None = None) -> None:
    assert small.location is not None
    plan.fit(placement, small.location, Limits(seconds=seconds), keep_model=False)


def test_after_a_failure_a_model_gets_no_further_runs(small: Dataset, tmp_path: Path) -> None:
    store, steps = open_store(tmp_path, small), list[Progress]()
    plan = plan_of(store, small, steps)
    placement = Scripted(
        ("mlp-256-256", 1, Outcome(status="nan", reason="the loss became nan")),
        ("knn", 0, OK),
        ("mlp-256-256", 0, OK),
    )
    fit(plan, small, placement)
    assert placement.drawn == [("mlp-256-256", 0), ("mlp-256-256", 1), ("knn", 0)]
    network, neighbours = plan.entries
    assert (network.status, network.reason) == ("nan", "seed 1: the loss became nan")
    assert (neighbours.status, neighbours.reason) == ("ok", None)
    assert Comparison.load(store) == Comparison(
        entries=(network, neighbours), command="the command"
    )
    assert [(s.kind, s.model, s.seed, s.done) for s in steps if s.kind != "started"] == [
        ("failed", "mlp-256-256", 1, 3),  # with the two that are not begun
        ("saved", "knn", 0, 4),
        ("saved", "mlp-256-256", 0, 5),
    ]
    assert {s.total for s in steps} == {5}
    assert {s.at_once for s in steps} == {2}


def test_of_several_failures_the_first_seeds_is_told(small: Dataset, tmp_path: Path) -> None:
    plan = plan_of(open_store(tmp_path, small), small, [])
    failures = [Outcome(status="failed", reason=f"reason {seed}") for seed in (0, 1)]
    fit(
        plan,
        small,
        Scripted(("mlp-256-256", 1, failures[1]), ("mlp-256-256", 0, failures[0]), ("knn", 0, OK)),
    )
    assert plan.entries[0].reason == "reason 0"


def test_what_is_not_finished_is_interrupted(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    plan = plan_of(store, small, [])
    jobs = Scripted(("mlp-256-256", 0, OK), ("mlp-256-256", 1, OK))
    with pytest.raises(GoesOnError):
        fit(plan, small, jobs)
    saved = json.loads((store.folder / "comparison.json").read_text())["entries"]
    assert [entry["status"] for entry in saved] == ["interrupted", "interrupted"]


def test_what_would_take_too_long_is_never_drawn(small: Dataset, tmp_path: Path) -> None:
    steps: list[Progress] = []
    models = ["cnn-16-32-64-128", "swift-photo"]  # on all of Fashion-MNIST 8 h 20 min and 12 min
    plan = plan_of(open_store(tmp_path, small), small, steps, models)
    placement = Scripted(*(("swift-photo", seed, OK) for seed in range(4)))
    fit(plan, small, placement, seconds=30)
    assert {model for model, _ in placement.drawn} == {"swift-photo"}
    assert [entry.status for entry in plan.entries] == ["timeout", "ok"]
    assert plan.entries[0].reason == (
        "left out: expected to take about 16 min 40 s here, more than the limit of 30 s"
    )
    assert {step.expected for step in steps if step.model == "swift-photo"} == {24.0}
