from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import psutil
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.errors import UsageError
from fittingroom.execution.executor import Executor, open_executor
from fittingroom.execution.job import Job, Limits
from fittingroom.execution.local import LocalExecutor
from fittingroom.execution.process import FitProcess
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store

#: Called with each step; if it returns True, the fit is stopped.
OnStep = Callable[[Job, FitStep], bool | None]
Children = Callable[..., list[psutil.Process]]


def job(store: Store, small: Dataset, model: str, seed: int = 0, **settings: Any) -> Job:
    spec = spec_of(small, model, settings=settings, seed=seed)
    return Job(spec=spec, dataset=str(small.location), store=str(store.folder), keep_model=False)


def endless_jobs(store: Store, small: Dataset, seeds: int) -> list[Job]:
    return [job(store, small, "mlp-10-10", seed, epochs=1_000_000) for seed in range(seeds)]


def ignore(job: Job, step: FitStep) -> None:
    pass


def attempts(executor: Executor, jobs: Iterable[Job], on_step: OnStep = ignore) -> list[Attempt]:
    """How all jobs ended, in order; submitted like by a bench."""
    remaining, ended, under_way = iter(jobs), list[Attempt](), 0
    try:
        while True:
            while under_way < executor.at_once and (following := next(remaining, None)):
                executor.submit(following)
                under_way += 1
            if not under_way:
                return ended
            job, event = executor.next_event()
            if isinstance(event, Attempt):
                assert event.spec is job.spec
                ended.append(event)
                under_way -= 1
            elif on_step(job, event):
                executor.stop(job)
    finally:
        if under_way:
            executor.stop_all()


def statuses(ended: Iterable[Attempt]) -> list[tuple[str, str]]:
    return [(attempt.spec.model, attempt.status) for attempt in ended]


@pytest.mark.slow
def test_two_parallel_fits_share_the_threads_and_one_can_be_stopped(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    """A short fit overtakes the one before it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    short_one_is_done, steps = threading.Event(), list[tuple[str, FitStep]]()
    threads: set[str] = set()
    (endless,) = endless_jobs(store, small, 1)

    def jobs() -> Iterable[Job]:
        yield endless
        yield job(store, small, "knn")
        # drawn when there is room for it: after the attempt of the short one
        threads.update(child.environ()["OMP_NUM_THREADS"] for child in children())
        short_one_is_done.set()
        yield job(store, small, "logistic")

    def on_step(job: Job, step: FitStep) -> bool:
        steps.append((job.spec.model, step))
        return short_one_is_done.is_set()

    with open_executor("local:2", Limits()) as executor:
        assert executor.at_once == 2
        ended = attempts(executor, jobs(), on_step)
        assert threads == {"2"}
        # both are usable again
        again = [job(store, small, "mlp-10-10", seed, epochs=1) for seed in (0, 1)]
        assert {attempt.status for attempt in attempts(executor, again)} == {"ok"}
    assert statuses(ended)[0] == ("knn", "ok")
    assert set(statuses(ended)[1:]) == {("mlp-10-10", "stopped"), ("logistic", "ok")}
    assert {attempt.reason for attempt in ended} == {None}
    assert {model for model, _ in steps} == {"mlp-10-10"}
    assert [step.done for _, step in steps] == list(range(1, len(steps) + 1))
    assert children() == []
    assert {run.record.spec.model for run in store.runs()} == {"knn", "logistic", "mlp-10-10"}
    assert len(store.runs("mlp-10-10")) == 2
    assert len(store.runs("mlp-10-10", 1)) == 1


@pytest.mark.slow
def test_running_fits_end_with_the_loop(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    """Two at a time with one thread: each has one, not none."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    stepped, threads = set[int](), set[str]()

    def on_step(job: Job, step: FitStep) -> None:
        threads.update(child.environ()["OMP_NUM_THREADS"] for child in children())
        stepped.add(job.spec.seed)
        if len(stepped) == 2:
            raise KeyboardInterrupt

    with LocalExecutor(Limits(), 2) as executor:
        with pytest.raises(KeyboardInterrupt):
            attempts(executor, endless_jobs(store, small, 2), on_step)
        assert threads == {"1"}
        assert children() == []
        assert store.runs() == []
        # it is usable again, and stopped fits report nothing
        ended = attempts(executor, [job(store, small, "knn")], pytest.fail)  # type: ignore[arg-type]
    assert statuses(ended) == [("knn", "ok")]
    assert [run.record.spec.model for run in store.runs()] == ["knn"]
    assert children() == []


def test_running_fits_end_with_the_executor(
    store: Store, small: Dataset, children: Children
) -> None:
    """However the block is left: here nothing else stopped them."""

    def interrupted() -> None:
        with LocalExecutor(Limits(), 2) as executor:
            for each in endless_jobs(store, small, 2):
                executor.submit(each)
            executor.next_event()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert children() == []
    assert store.runs() == []


def test_a_stopped_job_reports_no_more_steps(store: Store, small: Dataset) -> None:
    """Else a trial would be reported as pruned after a later epoch than the one that was judged."""
    steps: list[int] = []

    def on_step(job: Job, step: FitStep) -> bool:
        time.sleep(0.5)  # while the job goes on
        steps.append(step.done)
        return True

    (endless,) = endless_jobs(store, small, 1)
    with LocalExecutor(Limits(), 2) as executor:
        ended = attempts(executor, [endless], on_step)
    assert ended == [Attempt(spec=endless.spec, status="stopped")]
    assert steps == [1]
    assert store.runs() == []


def test_a_job_that_ended_before_it_was_stopped_is_ok(store: Store, small: Dataset) -> None:
    """Its run is saved."""
    short = job(store, small, "mlp-10-10", epochs=1)

    def on_step(job: Job, step: FitStep) -> bool:
        deadline = time.monotonic() + 60
        while not store.runs():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)
        time.sleep(0.5)  # until its end is reported, too
        return True

    with LocalExecutor(Limits(), 1) as executor:
        assert attempts(executor, [short], on_step) == [Attempt(spec=short.spec, status="ok")]
        # the next job isn't considered stopped
        again = job(store, small, "mlp-10-10", seed=1, epochs=1)
        assert attempts(executor, [again]) == [Attempt(spec=again.spec, status="ok")]
    assert len(store.runs()) == 2


def test_a_job_can_be_stopped_before_its_process_has_started(store: Store, small: Dataset) -> None:
    """As soon as it is submitted; the limit is for a fit that isn't stopped."""
    (endless,) = endless_jobs(store, small, 1)
    with LocalExecutor(Limits(seconds=30), 1) as executor:
        executor.submit(endless)
        begun = time.monotonic()
        executor.stop(endless)
        assert executor.next_event() == (endless, Attempt(spec=endless.spec, status="stopped"))
        assert time.monotonic() - begun < 15, "it was fitted until its time was over"


def test_an_executor_is_usable_after_stopping_all(
    store: Store, small: Dataset, children: Children
) -> None:
    """Even jobs that are only starting; and again when none is left."""
    with LocalExecutor(Limits(), 2) as executor:
        for each in endless_jobs(store, small, 2):
            executor.submit(each)
        executor.stop_all()
        assert children() == []
        executor.stop_all()
        ended = attempts(
            executor, [job(store, small, model) for model in ("knn", "zalando-gaussian-nb")]
        )
        assert sorted(statuses(ended)) == [("knn", "ok"), ("zalando-gaussian-nb", "ok")]
    assert children() == []


def test_a_process_is_kept_for_one_model_and_replaced_for_another(
    store: Store, small: Dataset, children: Children
) -> None:
    """So that one model's memory doesn't count against another."""
    fitted_by: list[int] = []

    def jobs() -> Iterable[Job]:
        for model, neighbours in (("knn", 3), ("knn", 4), ("zalando-gaussian-nb", None)):
            settings = {} if neighbours is None else {"n_neighbors": neighbours}
            yield job(store, small, model, **settings)
            fitted_by.append(children()[0].pid)

    with LocalExecutor(Limits(), 1) as executor:
        assert {attempt.status for attempt in attempts(executor, jobs())} == {"ok"}
    first, second, third = fitted_by
    assert first == second != third


def test_a_process_that_cannot_be_started_is_a_failed_attempt(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: Any) -> Attempt:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(FitProcess, "fit", fit)
    with LocalExecutor(Limits(), 1) as executor:
        (attempt,) = attempts(executor, [job(store, small, "knn")])
    assert attempt.status == "failed"
    assert attempt.reason == "BlockingIOError: [Errno 11] Resource temporarily unavailable"


def test_limits_apply_to_each_job(store: Store, small: Dataset) -> None:
    with LocalExecutor(Limits(memory=100 * 2**20), 2) as executor:
        ended = attempts(executor, endless_jobs(store, small, 2))
    assert {attempt.spec.seed: attempt.status for attempt in ended} == {
        **{0: "out-of-memory", 1: "out-of-memory"}
    }


def test_an_unknown_executor_starts_nothing() -> None:
    with pytest.raises(UsageError):
        open_executor("local:0", Limits())
