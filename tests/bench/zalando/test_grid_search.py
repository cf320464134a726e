from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.bench import open_bench
from fittingroom.bench.progress import Progress, Reporter
from fittingroom.bench.zalando.grid_search import GridSearch, Point, SearchedGrid
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import TrainingError
from fittingroom.execution.job import Limits
from fittingroom.models.zalando_grid import GRIDS, Grid
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store, open_store

BAYES = next(grid for grid in GRIDS if grid.name == "zalando-gaussian-nb")
TREES = Grid(
    name="zalando-extra-tree",
    written="ExtraTreeClassifier",
    axes={"criterion": ("gini", "sorcery"), "max_depth": (1, 10)},
    about="single trees",
    seconds=1,
)
BOOSTING = next(grid for grid in GRIDS if grid.name == "zalando-gradient-boosting")
LINEAR = next(grid for grid in GRIDS if grid.name == "zalando-linear-svc")
PROCESS = next(grid for grid in GRIDS if grid.name == "zalando-gaussian-process")


PERCEPTRON = next(grid for grid in GRIDS if grid.name == "zalando-perceptron")
#: The two of TREES that can be fitted.
VALID = replace(TREES, axes={"criterion": ("gini",), "max_depth": (1, 10)})


def point(C: float = 1.0, **fields: Any) -> Point:
    """A point of no grid."""
    return Point(
        written={"C": C}, spec=RunSpec(dataset="none", model="a", parameters={"C": C}), **fields
    )


class Searching:
    """Fits the points of grids, with a scripted executor or real processes."""

    def __init__(self, scripted: Callable[..., Any]) -> None:
        self.scripted = scripted
        self.steps: list[Progress] = []

    def run(
        self,
        search: GridSearch,
        store: Store,
        dataset: Dataset,
        script: Any = lambda spec: [0.8],
        at_once: int = 1,
        real: bool = False,
    ) -> tuple[list[str], list[Point]]:
        """The search, and each point as it ended."""
        self.steps.clear()
        fitting = nullcontext() if real else self.scripted(script, at_once=at_once)
        with fitting as executor, open_bench(dataset, store, keep_models=False) as bench:
            names = [searched.grid.name for searched in search.searches]
            total = sum(len(searched.points) for searched in search.searches)
            reporter = Reporter(self.steps.append, total=total)
            ended = []
            for point in search.fit(names, bench, reporter):
                assert any(point in of_grid.points for of_grid in search.searches), "at once"
                ended.append(point)
        started = [step.model for step in self.steps if step.kind == "started"]
        if not real:
            assert executor is not None
            assert [spec.label for spec in executor.specs] == started
            assert not any(job.keep_model for job in executor.jobs)
        steps = [step for step in self.steps if step.kind in ("saved", "failed")]
        assert [step.model for step in steps] == [point.label for point in ended]
        assert [step.reason for step in steps] == [point.reason for point in ended]
        return started, ended


@pytest.fixture
def searching(scripted: Callable[..., Any]) -> Searching:
    return Searching(scripted)


def test_two_points_at_a_time_give_the_same_result(
    tmp_path: Path, store: Store, small: Dataset, searching: Searching
) -> None:
    one = GridSearch(small, store, [TREES], {}, Limits())
    searching.run(one, store, small, lambda _: ["fit"])
    second = open_store(tmp_path / "two", small)
    two = GridSearch(small, second, [TREES], {}, Limits())
    started, ended = searching.run(two, second, small, lambda _: ["fit"], at_once=2)
    assert len(started) == len(ended) == 4
    for alone, beside in zip(one.searches[0].points, two.searches[0].points, strict=True):
        assert (alone.status, alone.choose_accuracy) == (beside.status, beside.choose_accuracy)


def test_points_come_in_the_order_in_which_they_end(
    store: Store, small: Dataset, searching: Searching
) -> None:
    def script(spec: RunSpec) -> list[Any]:
        slow = [FitStep(done=1, total=1)] * 9 if spec.settings["penalty"] == "l1" else []
        return [*slow, 0.8]

    search = GridSearch(small, store, [PERCEPTRON], {}, Limits())
    _, ended = searching.run(search, store, small, script, at_once=2)
    assert [point.parameters["penalty"] for point in ended] == ["l2", "elasticnet", "l1"]
    assert [point.parameters["penalty"] for point in search.searches[0].points] == [
        *("l1", "l2", "elasticnet")
    ]


def test_every_point_is_fitted_once_and_the_best_on_validation_is_chosen(
    store: Store, small: Dataset, searching: Searching
) -> None:
    """With real processes."""
    search = GridSearch(small, store, [TREES], {}, Limits())
    (before,) = search.searches
    assert (before.finished, before.chosen) == (False, None)
    started, ended = searching.run(search, store, small, real=True)
    assert len(started) == 4
    assert [point.status for point in ended] == ["ok", "ok", "failed", "failed"]
    assert "sorcery" in (ended[2].reason or "")
    (search_result,) = search.searches
    assert search_result.counts == {"points": 4, "failed": 2, "ok": 2}
    assert search_result.chosen == ended[1]  # of the deeper trees
    runs = store.runs()
    assert len(runs) == 2
    assert all(run.test is None for run in runs)
    assert not any((run.folder / "model").exists() for run in runs)
    (run_of_it,) = (r for r in runs if r.record.spec.key == ended[1].key)
    assert run_of_it.validation is not None
    choose = validation_split(small.train.labels).selection
    of_choose = np.isin(run_of_it.validation.index, choose)
    assert ended[1].choose_accuracy == run_of_it.validation.correct[of_choose].mean()

    # Saved points are reused; failed ones are tried again.
    resumed = GridSearch(small, store, [TREES], {}, Limits()).searches[0]
    assert resumed.points[:2] == search_result.points[:2]
    assert [point.status for point in resumed.points[2:]] == ["interrupted"] * 2
    assert resumed.chosen is None  # before all points are done


def test_only_the_named_grids_are_searched(store: Store, small: Dataset, scripted: Any) -> None:
    search = GridSearch(small, store, [BAYES, VALID], {}, Limits())
    with scripted(lambda _: [0.8]), open_bench(small, store) as bench:
        ended = [*search.fit([VALID.name], bench, Reporter(None, total=2))]
    assert [point.classifier for point in ended] == [VALID.name] * 2
    assert [searched.finished for searched in search.searches] == [False, True]


def test_of_equal_points_the_first_is_chosen() -> None:
    equal = tuple(point(C, status="ok", reason=None, choose_accuracy=0.85) for C in (1, 2, 3))
    assert SearchedGrid(grid=TREES, points=equal).chosen is equal[0]


def test_labels_of_the_test_split_change_no_selection(
    tmp_path: Path, small: Dataset, searching: Searching
) -> None:
    """The same data with random test labels: the same points, the same figures."""
    drawn = np.random.default_rng(0).permutation(small.test.labels)
    other = Dataset.from_arrays(
        small.train.images, small.train.labels, small.test.images, drawn, name="drawn"
    )
    selections = []
    for dataset in (small, other):
        grid = replace(TREES, axes={"max_depth": (1, 5, 10)})
        store = open_store(tmp_path / "runs", dataset)
        search = GridSearch(dataset, store, [grid], {}, Limits())
        searching.run(search, store, dataset, lambda _: ["fit"])
        (done,) = search.searches
        assert done.chosen is not None
        selections.append((done.chosen.label, [point.choose_accuracy for point in done.points]))
    assert selections[0] == selections[1]


def test_a_stopped_point_is_tried_again_only_under_a_looser_limit(
    store: Store, small: Dataset, searching: Searching
) -> None:
    key = GridSearch(small, store, [BAYES], {}, Limits()).searches[0].points[0].key
    stopped: Any = {key: ("timeout", "took longer than 9 s", Limits(seconds=9))}
    for seconds in (3.0, 9.0):
        search = GridSearch(small, store, [BAYES], stopped, Limits(seconds=seconds))
        started, (ended,) = searching.run(search, store, small)
        assert not started
        assert (ended.status, ended.reason) == ("timeout", "took longer than 9 s")
        assert ended.limits == Limits(seconds=9)
    search = GridSearch(small, store, [BAYES], stopped, Limits(seconds=100))
    started, (ended,) = searching.run(search, store, small)
    assert len(started) == 1
    assert (ended.status, ended.limits) == ("ok", Limits())


@pytest.mark.parametrize(
    ("status", "then", "now", "again"),
    [
        ("timeout", Limits(seconds=9), Limits(seconds=9, memory=5), True),
        ("timeout", Limits(seconds=9), Limits(seconds=10), False),
        ("timeout", Limits(seconds=9), Limits(), False),
        ("out-of-memory", Limits(memory=9), Limits(memory=8), True),
        ("out-of-memory", Limits(memory=9), Limits(seconds=1), False),
        ("out-of-memory", Limits(), Limits(), True),  # the system itself had no more
        ("failed", Limits(seconds=9), Limits(seconds=9), False),
    ],
)
def test_a_limit_no_looser_would_stop_it_again(
    status: Any, then: Limits, now: Limits, again: bool
) -> None:
    assert point().stopped(status, "why", then).would_stop(now) is again


def test_a_limit_stops_a_point_and_skips_slower_ones(
    store: Store, small: Dataset, searching: Searching
) -> None:
    def script(spec: RunSpec) -> list[Any]:
        return [Attempt(spec=spec, status="timeout", reason="took longer than 0.5 s")]

    search = GridSearch(small, store, [BOOSTING], {}, Limits(seconds=0.5))
    started, ended = searching.run(search, store, small, script)
    assert started == [ended[0].label]
    assert ended[0].parameters == {"n_estimators": 10, "max_depth": 3}
    assert {point.status for point in ended} == {"timeout"}
    assert ended[0].reason == "took longer than 0.5 s"
    reason = "left out: it took too long already with n_estimators 10, max_depth 3"
    assert {point.reason for point in ended[1:]} == {reason}
    assert {point.limits for point in ended} == {Limits(seconds=0.5)}


def test_slower_points_are_skipped_as_soon_as_possible(
    store: Store, small: Dataset, searching: Searching
) -> None:
    """With two at a time the second is started before the first has ended."""
    search = GridSearch(small, store, [BOOSTING], {}, Limits(seconds=0.5))
    started, ended = searching.run(search, store, small, lambda _: ["timeout"], at_once=2)
    assert len(started) == 2
    assert len(ended) == len(BOOSTING.points)
    assert {point.status for point in ended} == {"timeout"}


def test_a_point_that_ran_out_of_memory_skips_no_other(
    store: Store, small: Dataset, searching: Searching
) -> None:
    search = GridSearch(small, store, [BOOSTING], {}, Limits(memory=1))
    started, ended = searching.run(search, store, small, lambda _: ["out-of-memory"])
    assert len(started) == len(ended) == len(BOOSTING.points)


@pytest.mark.parametrize("at_once", [1, 2])
def test_points_of_one_fit_share_its_result(
    store: Store, small: Dataset, searching: Searching, at_once: int
) -> None:
    search = GridSearch(small, store, [LINEAR], {}, Limits(memory=1))
    started, ended = searching.run(search, store, small, lambda _: ["out-of-memory"], at_once)
    assert (len(started), len(ended)) == (12, 21)
    assert {point.status for point in ended} == {"out-of-memory"}
    assert search.searches[0].counts == {"points": 24, "never-valid": 3, "out-of-memory": 21}


def test_impractical_points_are_never_started(
    store: Store, small: Dataset, searching: Searching
) -> None:
    search = GridSearch(small, store, [PROCESS], {}, Limits())
    assert searching.run(search, store, small) == ([], [])
    (grid,) = search.searches
    assert grid.finished
    assert grid.chosen is None
    assert {point.status for point in grid.points} == {"impractical"}
    assert all("23 GB" in (point.reason or "") for point in grid.points)


def test_an_unreadable_run_is_an_unreadable_point(
    store: Store, small: Dataset, searching: Searching
) -> None:
    searching.run(GridSearch(small, store, [VALID], {}, Limits()), store, small)
    first, second = store.runs()
    (first.folder / "run.json").write_text("{")
    search = GridSearch(small, store, [VALID], {}, Limits())
    started, ended = searching.run(search, store, small)
    assert started == []
    points = {point.key: point for point in ended}
    assert points[first.record.spec.key].status == "unreadable"
    assert "run.json can't be read" in (points[first.record.spec.key].reason or "")
    assert points[second.record.spec.key].status == "ok"


def test_a_run_with_unreadable_predictions_is_an_unreadable_point(
    store: Store, small: Dataset, searching: Searching
) -> None:
    searching.run(GridSearch(small, store, [VALID], {}, Limits()), store, small)
    for run in store.runs():
        (run.folder / "predictions.npz").write_bytes(b"PK")
    again = GridSearch(small, store, [VALID], {}, Limits())
    assert [point.status for point in again.searches[0].points] == ["unreadable"] * 2
    started, _ = searching.run(again, store, small)
    assert started == []


def test_an_error_not_due_to_a_point_ends_the_search(
    store: Store, small: Dataset, searching: Searching
) -> None:
    def script(spec: RunSpec) -> list[Any]:
        return [Attempt(spec=spec, status="interrupted", reason="the disk is full")]

    search = GridSearch(small, store, [VALID], {}, Limits())
    with pytest.raises(
        TrainingError, match=r"tree\[.*max_depth=1\] was not fitted: the disk is full"
    ):
        searching.run(search, store, small, script)
    assert search.searches[0].counts == {"points": 2, "interrupted": 2}
