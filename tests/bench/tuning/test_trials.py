from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fittingroom.bench.bench import open_bench
from fittingroom.bench.progress import Progress
from fittingroom.bench.tuning.search import OwnedTrial, Search, open_search
from fittingroom.bench.tuning.space import parse_space
from fittingroom.bench.tuning.trials import Trials
from fittingroom.data.dataset import Dataset
from fittingroom.runs.attempt import FitStep
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store, open_store


@pytest.fixture
def search(tmp_path: Path) -> Iterator[Search]:
    space, url = parse_space({"n_neighbors": "1..999"}), f"sqlite:///{tmp_path / 'studies'}"
    with closing(open_search(url, "s", space, sampler="random", seed=0, prune=True)) as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path, small: Dataset) -> Store:
    return open_store(tmp_path / "runs", small)


def trials_of(search: Search, neighbours: list[int]) -> Callable[[], OwnedTrial | None]:
    """Hands out trials with these numbers of neighbours."""
    left = iter(neighbours)

    def next_trial() -> OwnedTrial | None:
        if (n := next(left, None)) is None:
            return None
        trial = search.ask(99)
        assert trial is not None
        return replace(trial, settings={"n_neighbors": n})

    return next_trial


def one_step(spec: RunSpec) -> list[Any]:
    accuracy = 0.1 if spec.settings["n_neighbors"] > 100 else 0.8
    return [FitStep(done=1, total=2, accuracy=accuracy), accuracy]


def test_equal_parallel_trials_share_a_fit(
    search: Search, store: Store, small: Dataset, scripted: Callable[..., Any]
) -> None:
    steps: list[Progress] = []
    trials = Trials(search, small, store, model="knn", n_trials=3, folds=0, seed=0)
    with scripted(one_step, at_once=2) as executor, open_bench(small, store) as bench:
        next_trial = trials_of(search, [3, 3, 5])
        trials.fit(bench, next_trial, prune=True, on_progress=steps.append)
    assert [spec.settings["n_neighbors"] for spec in executor.specs] == [3, 5]
    rows = trials.rows()
    assert [row.status for row in rows] == ["ok"] * 3
    assert rows[0].run == rows[1].run
    assert rows[0].accuracy == rows[1].accuracy
    saved = [step.model for step in steps if step.kind == "saved"]
    assert sorted(saved) == [f"knn trial {n}" for n in range(3)]
    assert (steps[-1].done, steps[-1].total) == (3, 3)


def test_equal_parallel_trials_are_pruned_for_the_same_reason(
    search: Search, store: Store, small: Dataset, scripted: Callable[..., Any]
) -> None:
    steps: list[Progress] = []
    trials = Trials(search, small, store, model="knn", n_trials=7, folds=0, seed=0)
    with scripted(one_step) as executor, open_bench(small, store) as bench:
        trials.fit(bench, trials_of(search, [1, 2, 3, 4, 5]), prune=True, on_progress=None)
        executor.at_once = 2
        next_trial = trials_of(search, [500, 500])
        trials.fit(bench, next_trial, prune=True, on_progress=steps.append)
    rows = trials.rows()[5:]
    assert [row.status for row in rows] == ["pruned"] * 2
    assert [row.reason for row in rows] == ["worse than the median after epoch 1"] * 2
    reasons = [step.reason for step in steps if step.kind == "failed"]
    assert reasons == ["pruned, worse than the median after epoch 1"] * 2
