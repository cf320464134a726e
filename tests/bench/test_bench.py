from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from fittingroom.bench.bench import open_bench
from fittingroom.data.dataset import Dataset
from fittingroom.errors import TrainingError
from fittingroom.execution.job import Limits
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.own import own_spec
from fittingroom.runs.spec import RunSpec, spec_of
from fittingroom.runs.store import Store, open_store

EPOCH = FitStep(done=1, total=2, accuracy=0.5)


class Watcher:
    """Records events, and stops the given specs."""

    def __init__(self, *stops: RunSpec) -> None:
        self.stops = stops
        self.seen: list[tuple[RunSpec, FitStep | None]] = []

    def started(self, spec: RunSpec) -> None:
        self.seen.append((spec, None))

    def stepped(self, spec: RunSpec, step: FitStep) -> bool:
        self.seen.append((spec, step))
        return spec in self.stops


@pytest.fixture
def specs(small: Dataset) -> list[RunSpec]:
    return [spec_of(small, "mlp-256-256", seed=seed) for seed in range(4)]


Scripted = Callable[..., AbstractContextManager[Any]]


def test_saved_runs_are_not_fitted(
    small: Dataset, store: Store, specs: list[RunSpec], scripted: Scripted
) -> None:
    watcher = Watcher()
    with scripted(lambda _: [EPOCH, 0.9]) as executor, open_bench(small, store) as bench:
        (first,) = bench.attempts(specs[:1], watcher)
        (again,) = bench.attempts(specs[:1], watcher)
    assert executor.specs == specs[:1]
    assert (first.status, again.status) == ("ok", "ok")
    assert first.run is not None
    assert again.run is not None
    assert first.run.folder == again.run.folder == store.folder / specs[0].path
    assert watcher.seen == [(specs[0], None), (specs[0], EPOCH)]


def test_a_spec_is_drawn_when_there_is_room_and_after_ended_attempts(
    small: Dataset, store: Store, specs: list[RunSpec], scripted: Scripted
) -> None:
    """So a generator may depend on ended attempts."""
    ended: list[Attempt] = []
    drawn: list[tuple[RunSpec, int]] = []

    def generator() -> Iterator[RunSpec]:
        for spec in specs:
            drawn.append((spec, len(ended)))
            yield spec

    with scripted(lambda _: [0.9], at_once=2) as executor, open_bench(small, store) as bench:
        for attempt in bench.attempts(generator(), Watcher()):
            ended += [attempt]
    assert drawn == [*zip(specs, [0, 0, 1, 2], strict=True)]
    assert executor.most == 2
    with scripted() as executor, open_bench(small, store) as bench:
        drawn.clear()
        ended.clear()
        for attempt in bench.attempts(generator(), Watcher()):
            ended += [attempt]
    assert executor.jobs == []
    assert [before for _, before in drawn] == [0, 1, 2, 3]


def test_a_spec_that_is_drawn_twice_is_fitted_once(
    small: Dataset, store: Store, specs: list[RunSpec], scripted: Scripted
) -> None:
    twice = [specs[0], specs[0], specs[1]]
    with scripted(lambda _: [EPOCH, 0.9], at_once=2) as executor, open_bench(small, store) as bench:
        attempts = [*bench.attempts(twice, Watcher())]
    assert executor.specs == specs[:2]
    assert [attempt.spec for attempt in attempts] == twice
    assert {attempt.status for attempt in attempts} == {"ok"}


def test_a_watcher_stops_one_fit_and_the_others_continue(
    small: Dataset, store: Store, specs: list[RunSpec], scripted: Scripted
) -> None:
    def steps(_: RunSpec) -> list[FitStep | float]:
        return [EPOCH, EPOCH, 0.9]

    with scripted(steps, at_once=2) as executor, open_bench(small, store) as bench:
        attempts = [*bench.attempts(specs[:2], Watcher(specs[1]))]
    assert {attempt.spec: attempt.status for attempt in attempts} == {
        specs[0]: "ok",
        specs[1]: "stopped",
    }
    assert executor.stopped == [specs[1]]


def test_running_fits_are_stopped_when_the_loop_is_left(
    small: Dataset, store: Store, specs: list[RunSpec], scripted: Scripted
) -> None:
    with scripted(lambda _: [0.9], at_once=3) as executor, open_bench(small, store) as bench:
        with closing(bench.attempts(specs, Watcher())) as attempts:  # type: ignore[type-var]
            next(attempts)
        assert executor.ended == specs[1:3]

        def refused() -> Iterator[RunSpec]:
            yield specs[3]
            raise TrainingError("no more")

        with pytest.raises(TrainingError):
            [*bench.attempts(refused(), Watcher())]
        assert executor.ended[2:] == specs[3:]


@pytest.mark.parametrize("status", ["failed", "timeout", "out-of-memory", "nan", "interrupted"])
def test_a_fit_that_fails_is_an_attempt_with_its_reason(
    status: Any, small: Dataset, store: Store, specs: list[RunSpec], scripted: Scripted
) -> None:
    failure = Attempt(spec=specs[0], status=status, reason="the reason")
    with scripted(lambda _: [failure]), open_bench(small, store) as bench:
        assert [*bench.attempts(specs[:1], Watcher())] == [failure]


def test_a_run_deleted_after_its_fit_is_interrupted(
    small: Dataset, store: Store, specs: list[RunSpec], scripted: Scripted
) -> None:
    with scripted(lambda _: ["ok"]), open_bench(small, store) as bench:
        (attempt,) = bench.attempts(specs[:1], Watcher())
    assert (attempt.status, attempt.run) == ("interrupted", None)
    assert "was it deleted meanwhile?" in str(attempt.reason)


def test_a_saved_run_that_cannot_be_read_is_not_fitted_again(
    small: Dataset, store: Store, specs: list[RunSpec], scripted: Scripted
) -> None:
    with scripted(lambda _: [0.9]) as executor, open_bench(small, store) as bench:
        (attempt,) = bench.attempts(specs[:1], Watcher())
        assert attempt.run is not None
        (attempt.run.folder / "run.json").write_text("{}")
        (attempt,) = bench.attempts(specs[:1], Watcher())
    assert attempt.status == "unreadable"
    assert "to fit it again" in str(attempt.reason)
    assert len(executor.jobs) == 1


class Raises(KNeighborsClassifier):  # type: ignore[misc]
    def fit(self, X: np.ndarray, y: np.ndarray) -> Raises:
        raise RuntimeError("this one never fits\nand says more")


def test_the_callers_own_estimator_is_fitted_in_this_process(
    small: Dataset, store: Store, scripted: Scripted
) -> None:
    estimators = {"near": KNeighborsClassifier(3), "never": Raises()}
    specs = [own_spec(small, name, estimator, full=False) for name, estimator in estimators.items()]
    watcher = Watcher()
    with scripted() as executor, open_bench(small, store, estimators=estimators) as bench:
        near, never = bench.attempts(specs, watcher)
    assert executor.jobs == []
    assert near.run is not None
    assert near.run.record.family == "own"
    assert (never.status, never.reason) == ("failed", "RuntimeError: this one never fits")
    assert watcher.seen == [(spec, None) for spec in specs]


def test_other_processes_can_read_a_data_set_in_memory(
    small: Dataset, some_of: Callable[..., Dataset], tmp_path: Path, scripted: Scripted
) -> None:
    with scripted() as executor, open_bench(small, open_store(tmp_path, small)) as bench:
        assert bench.location == small.location
    data = some_of({0: 40, 1: 40}, {0: 10, 1: 10})
    store = open_store(tmp_path, data)
    with scripted() as executor:
        limits = Limits(seconds=3)
        with open_bench(data, store, on="local:2", limits=limits, keep_models=False) as bench:
            (attempt,) = bench.attempts([spec_of(data, "knn")], Watcher())
            assert attempt.status == "ok"
        (job,) = executor.jobs
        assert executor.opened == [("local:2", limits)]
    assert not job.keep_model
    assert job.store == str(store.folder.resolve())
    assert not Path(job.dataset).exists()
