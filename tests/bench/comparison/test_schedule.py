from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sklearn.neighbors import KNeighborsClassifier

from fittingroom.bench.bench import open_bench
from fittingroom.bench.comparison.comparison import Comparison
from fittingroom.bench.comparison.entrant import entrants_of
from fittingroom.bench.comparison.schedule import Schedule
from fittingroom.bench.progress import Progress
from fittingroom.data.dataset import Dataset
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import RunSpec, spec_of
from fittingroom.runs.store import Store

STEP = FitStep(done=1, total=9)
Executors = Callable[..., AbstractContextManager[Any]]


def schedule_of(
    store: Store, small: Dataset, models: Sequence[str] = ("mlp-256-256", "knn")
) -> Schedule:
    entrants = entrants_of(models)
    return Schedule(small, store, entrants, n_seeds=4, full=False, command="the command")


def test_it_tells_which_models_it_will_fit(small: Dataset, store: Store) -> None:
    """Not those that are saved, too slow, or the caller's own."""
    models = {"mine": KNeighborsClassifier(), "knn": "knn", "cnn-32": "cnn-32"}
    schedule = Schedule(small, store, entrants_of(models), n_seeds=2, full=False)
    assert schedule.models_to_fit(None) == ["knn", "cnn-32"]
    assert schedule.models_to_fit(0.1) == []
    fit(spec_of(small, "knn"), small, store, keep_model=False)
    assert schedule.models_to_fit(None) == ["cnn-32"]


def test_a_model_gets_no_more_runs_after_a_failure(
    small: Dataset, store: Store, scripted: Executors
) -> None:
    schedule, steps = schedule_of(store, small), list[Progress]()

    def script(spec: RunSpec) -> list[Any]:
        if spec.seed == 1:
            return [Attempt(spec=spec, status="nan", reason="the loss became nan")]
        return [STEP, STEP, 0.9] if spec.model == "mlp-256-256" else [0.8]

    with scripted(script, at_once=2) as executor, open_bench(small, store) as bench:
        schedule.fit(bench, None, steps.append)
    assert [(spec.model, spec.seed) for spec in executor.specs] == [
        ("mlp-256-256", 0),
        ("mlp-256-256", 1),
        ("knn", 0),
    ]
    network, neighbours = schedule.entries
    assert (network.status, network.reason) == ("nan", "seed 1: the loss became nan")
    assert (neighbours.status, neighbours.reason) == ("ok", None)
    assert Comparison.load(store) == Comparison(
        entries=(network, neighbours), command="the command"
    )
    assert [(s.kind, s.model, s.seed, s.done) for s in steps if s.kind in ("saved", "failed")] == [
        ("failed", "mlp-256-256", 1, 3),  # with the two that aren't started
        ("saved", "knn", 0, 4),
        ("saved", "mlp-256-256", 0, 5),
    ]
    assert {s.total for s in steps} == {5}
    assert {s.at_once for s in steps} == {2}


def test_the_failure_of_the_first_seed_is_reported(
    small: Dataset, store: Store, scripted: Executors
) -> None:
    schedule = schedule_of(store, small)

    def script(spec: RunSpec) -> list[Any]:
        if spec.model == "knn":
            return [0.8]
        failure = Attempt(spec=spec, status="failed", reason=f"reason {spec.seed}")
        return [STEP, failure] if spec.seed == 0 else [failure]

    with scripted(script, at_once=2) as executor, open_bench(small, store) as bench:
        schedule.fit(bench, None, None)
    assert len(executor.jobs) == 3
    assert schedule.entries[0].reason == "reason 0"


def test_unfinished_models_are_interrupted(
    small: Dataset, store: Store, scripted: Executors
) -> None:
    schedule = schedule_of(store, small)

    def interrupt(step: Progress) -> None:
        if step.done == 2:
            raise KeyboardInterrupt

    with (
        scripted(lambda _: [0.9]),
        open_bench(small, store) as bench,
        pytest.raises(KeyboardInterrupt),
    ):
        schedule.fit(bench, None, interrupt)
    saved = json.loads((store.folder / "comparison.json").read_text())["entries"]
    assert [entry["status"] for entry in saved] == ["interrupted", "interrupted"]


def test_models_that_would_take_too_long_are_never_started(
    small: Dataset, store: Store, scripted: Executors
) -> None:
    steps: list[Progress] = []
    models = ["cnn-16-32-64-128", "swift-photo"]  # on all of Fashion-MNIST 8 h 20 min and 12 min
    schedule = schedule_of(store, small, models)
    with scripted(lambda _: [0.9]) as executor, open_bench(small, store) as bench:
        schedule.fit(bench, 30, steps.append)
    assert {spec.model for spec in executor.specs} == {"swift-photo"}
    assert [entry.status for entry in schedule.entries] == ["timeout", "ok"]
    assert schedule.entries[0].reason == (
        "left out: expected to take about 16 min 40 s here, more than the limit of 30 s"
    )
    assert {step.expected for step in steps if step.model == "swift-photo"} == {24.0}


def test_a_model_that_can_not_have_enough_memory_is_never_started(
    small: Dataset, store: Store, scripted: Executors
) -> None:
    models = {"mine": KNeighborsClassifier(), "svm-rbf": "svm-rbf", "mlp-10-10": "mlp-10-10"}
    schedule = Schedule(
        *(small, store, entrants_of(models)), n_seeds=1, full=False, memory=1_000_000
    )
    assert schedule.models_to_fit(None) == ["mlp-10-10"]
    with (
        scripted(lambda _: [0.9]) as executor,
        open_bench(small, store, estimators={"mine": models["mine"]}) as bench,
    ):
        schedule.fit(bench, None, None)
    assert {spec.model for spec in executor.specs} == {"mlp-10-10"}
    assert [entry.status for entry in schedule.entries] == ["ok", "out-of-memory", "ok"]
    reason = schedule.entries[1].reason
    assert reason is not None
    assert reason.startswith("left out: 2,000 training images take it at least")


def test_a_saved_run_counts_whatever_it_would_take(
    small: Dataset, store: Store, scripted: Executors
) -> None:
    slow = ["cnn-16-32-64-128"]
    with scripted(lambda _: [0.9]) as executor, open_bench(small, store) as bench:
        schedule_of(store, small, slow).fit(bench, None, None)
        again = schedule_of(store, small, slow)
        again.fit(bench, 30, None)
    assert len(executor.jobs) == 4
    assert [entry.status for entry in again.entries] == ["ok"]


@pytest.mark.parametrize(("full", "images"), [(False, 1800), (True, 2000)])
def test_it_tells_on_how_many_images_models_are_trained(
    full: bool, images: int, small: Dataset, store: Store
) -> None:
    schedule = Schedule(small, store, entrants_of(["knn"]), n_seeds=1, full=full)
    assert [entry.trained_on for entry in schedule.entries] == [images]


class Locked(KNeighborsClassifier):  # type: ignore[misc]
    """Nobody can tell whether it is still the same model."""

    def __init__(self, random_state: int = 0) -> None:
        super().__init__()
        self.random_state = random_state
        self.lock = threading.Lock()


def test_a_model_that_is_not_found_again_says_what_an_interrupt_costs(
    small: Dataset, store: Store
) -> None:
    models = {"mine": Locked(), "knn": "knn"}
    locked, known = Schedule(small, store, entrants_of(models), n_seeds=2, full=False).entries
    assert locked.status == known.status == "interrupted"
    assert locked.reason == "not finished; the same command fits it again from the start"
    assert known.reason != locked.reason


def test_the_time_of_an_own_model_is_unknown(
    small: Dataset, store: Store, scripted: Executors
) -> None:
    own, steps = KNeighborsClassifier(3), list[Progress]()
    schedule = Schedule(small, store, entrants_of({"mine": own}), n_seeds=3, full=False)
    with scripted(), open_bench(small, store, estimators={"mine": own}) as bench:
        schedule.fit(bench, 1, steps.append)
    assert [(step.kind, step.expected) for step in steps] == [("started", None), ("saved", None)]
    assert [(entry.status, entry.seeds) for entry in schedule.entries] == [("ok", (0,))]
