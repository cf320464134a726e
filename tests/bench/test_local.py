from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from fittingroom.bench.executor import Job, Limits, Outcome
from fittingroom.bench.local import Local, threads_here
from fittingroom.bench.placement import ENDED, placed
from fittingroom.data.dataset import Dataset
from fittingroom.errors import UsageError
from fittingroom.runs.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path, small: Dataset) -> Store:
    return open_store(tmp_path, small)


def job(store: Store, small: Dataset, model: str, seed: int = 0, **overrides: Any) -> Job:
    return Job(
        dataset=str(small.location),
        sha256=small.sha256,
        store=str(store.folder),
        model=model,
        seed=seed,
        full=False,
        overrides=overrides,
        keep_model=False,
    )


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def nothing(job: Job, event: Mapping[str, Any]) -> None:
    pass


@pytest.mark.slow
def test_two_at_once_share_the_threads_and_one_can_be_ended(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs are drawn when there is room for them; a short one overtakes the one before it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    short_one_is_done, told = threading.Event(), []
    endless = job(store, small, "mlp-10-10", epochs=1_000_000)

    def jobs() -> Iterator[Job]:
        yield endless
        assert told == [("mlp-10-10", "started")]
        yield job(store, small, "knn")
        assert short_one_is_done.is_set()
        yield job(store, small, "logistic")

    def on_event(job: Job, event: Mapping[str, Any]) -> bool:
        told.append((job.model, event["event"]))
        return event["event"] == "epoch" and short_one_is_done.is_set()

    outcomes: list[tuple[str, Outcome]] = []
    with placed("local:2", Limits()) as placement:
        assert placement.at_once == 2
        for ended, outcome in placement.run(jobs(), on_event):
            outcomes.append((ended.model, outcome))
            if ended.model == "knn":
                assert {child.environ()["OMP_NUM_THREADS"] for child in children()} == {"2"}
                short_one_is_done.set()
        # and both are of use again
        again = [job(store, small, "mlp-10-10", seed, epochs=1) for seed in (0, 1)]
        assert {o.status for _, o in placement.run(again, nothing)} == {"ok"}
    assert outcomes[0] == ("knn", Outcome(status="ok"))
    assert set(outcomes[1:]) == {("mlp-10-10", ENDED), ("logistic", Outcome(status="ok"))}
    assert ("mlp-10-10", "epoch") in told
    assert children() == []
    assert {run.record.asked.model for run in store.runs()} == {"knn", "logistic", "mlp-10-10"}
    assert len(store.runs("mlp-10-10")) == 2
    assert len(store.runs("mlp-10-10", 1)) == 1


@pytest.mark.slow
def test_what_is_under_way_ends_with_the_loop(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time with one thread: each has that one, and not none."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    endless = [job(store, small, "mlp-10-10", seed, epochs=1_000_000) for seed in (0, 1)]
    interrupt, threads = interrupt_after_two(), set()

    def on_event(job: Job, event: Mapping[str, Any]) -> None:
        threads.update(child.environ()["OMP_NUM_THREADS"] for child in children())
        interrupt(job, event)

    with Local(Limits(), 2) as local:
        with pytest.raises(KeyboardInterrupt):
            list(local.run(endless, on_event))
        assert threads == {"1"}
        assert children() == []
        assert store.runs() == []
        # and it is of use again
        ended = [job.model for job, _ in local.run([job(store, small, "knn")], nothing)]
    assert ended == ["knn"]
    assert [run.record.asked.model for run in store.runs()] == ["knn"]
    assert children() == []


def test_of_a_job_that_was_ended_nothing_more_is_heard(store: Store, small: Dataset) -> None:
    """Else a trial would be said to be broken off after an epoch that it went on to meanwhile."""
    heard: list[int] = []

    def on_event(job: Job, event: Mapping[str, Any]) -> bool:
        if event["event"] == "epoch":
            time.sleep(0.5)  # in which the job goes on
            heard.append(event["epoch"])
        return bool(heard)

    endless = job(store, small, "mlp-10-10", epochs=1_000_000)
    with Local(Limits(), 2) as local:
        assert [outcome for _, outcome in local.run([endless], on_event)] == [ENDED]
    assert heard == [1]


def interrupt_after_two() -> Any:
    heard = set()

    def on_event(job: Job, event: Mapping[str, Any]) -> None:
        if event["event"] == "epoch":
            heard.add(job.seed)
        if len(heard) == 2:
            raise KeyboardInterrupt

    return on_event


def test_limits_hold_for_each(store: Store, small: Dataset) -> None:
    endless = [job(store, small, "mlp-10-10", seed, epochs=1_000_000) for seed in (0, 1)]
    with Local(Limits(memory=100 * 2**20), 2) as local:
        ended = {job.seed: outcome.status for job, outcome in local.run(endless, nothing)}
    assert ended == {0: "out-of-memory", 1: "out-of-memory"}


def test_threads_are_those_that_were_asked_for_or_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for text, threads in (("3", 3), ("4,2", 4), ("0", 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert threads_here() == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert 1 <= threads_here() <= (psutil.cpu_count() or 1)


def test_nothing_starts_where_that_makes_no_sense() -> None:
    with pytest.raises(UsageError):
        placed("local:0", Limits())
