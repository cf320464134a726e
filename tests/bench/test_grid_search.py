from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.bench.executor import Limits, Outcome
from fittingroom.bench.grid_search import GridSearch, Point, SearchedGrid
from fittingroom.bench.placement import placed
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.models.zalando_grid import GRIDS, Grid
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


@pytest.fixture
def store(tmp_path: Path, small: Dataset) -> Store:
    return open_store(tmp_path, small)


def run(
    search: GridSearch, name: str, small: Dataset, on: str = "local:1"
) -> tuple[list[Point], list[Point]]:
    """What was started, and what each point came to."""
    started: list[Point] = []
    assert small.location is not None
    with placed(on, search.limits) as placement:
        return started, [*search.run(name, small.location, placement, started.append)]


@pytest.mark.slow
def test_two_points_at_a_time_come_to_the_same(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    one = GridSearch(small, store, [TREES], {}, Limits())
    run(one, TREES.name, small)
    two = GridSearch(small, open_store(tmp_path / "two", small), [TREES], {}, Limits())
    started, ended = run(two, TREES.name, small, on="local:2")
    assert len(started) == len(ended) == 4
    for first, second in zip(one.searches[0].points, two.searches[0].points, strict=True):
        assert (first.status, first.choose_accuracy) == (second.status, second.choose_accuracy)


def test_every_point_is_fitted_once_and_the_best_on_validation_is_chosen(
    store: Store, small: Dataset
) -> None:
    search = GridSearch(small, store, [TREES], {}, Limits())
    (before,) = search.searches
    assert (before.finished, before.chosen) == (False, None)
    started, ended = run(search, TREES.name, small)
    assert len(started) == 4
    assert [point.status for point in ended] == ["ok", "ok", "failed", "failed"]
    assert "sorcery" in (ended[2].reason or "")
    (found,) = search.searches
    assert found.counts == {"points": 4, "failed": 2, "ok": 2}
    assert found.chosen == ended[1]  # of the deeper trees
    runs = store.runs()
    assert len(runs) == 2
    assert all(run.test is None for run in runs)
    assert not any((run.folder / "model").exists() for run in runs)
    (run_of_it,) = (r for r in runs if r.record.asked.key == ended[1].key)
    assert run_of_it.validation is not None
    choose = validation_split(small.train.labels).choose
    of_choose = np.isin(run_of_it.validation.index, choose)
    assert ended[1].choose_accuracy == run_of_it.validation.correct[of_choose].mean()

    # What is saved is found; what failed is tried again.
    known = GridSearch(small, store, [TREES], {}, Limits()).searches[0]
    assert known.points[:2] == found.points[:2]
    assert [point.status for point in known.points[2:]] == ["interrupted"] * 2
    assert known.chosen is None  # before all points are done


def test_of_equal_points_the_first_is_chosen() -> None:
    point = Point(classifier="a", written={}, parameters={}, key="1", status="ok", reason=None)
    equal = tuple(replace(point, key=key, choose_accuracy=0.85) for key in "123")
    assert SearchedGrid(grid=TREES, points=equal).chosen is equal[0]


@pytest.mark.slow
def test_labels_of_the_test_split_change_no_choice(tmp_path: Path, small: Dataset) -> None:
    """The same data with test labels drawn at random: the same points, the same figures."""
    drawn = np.random.default_rng(0).permutation(small.test.labels)
    other = Dataset.from_arrays(
        small.train.images, small.train.labels, small.test.images, drawn, name="drawn"
    )
    other.write_idx(tmp_path / "drawn")
    found = []
    for dataset, location in ((small, small.location), (other, tmp_path / "drawn")):
        assert location is not None
        grid = Grid(**{**vars(TREES), "axes": {"max_depth": (1, 5, 10)}})
        store = open_store(tmp_path / "runs", dataset)
        search = GridSearch(dataset, store, [grid], {}, Limits())
        with placed("local:1", Limits()) as placement:
            list(search.run(grid.name, location, placement, lambda _: None))
        (done,) = search.searches
        assert done.chosen is not None
        found.append((done.chosen.label, [point.choose_accuracy for point in done.points]))
    assert found[0] == found[1]


def test_what_a_limit_stopped_is_tried_again_under_a_looser_one_alone(
    store: Store, small: Dataset
) -> None:
    key = GridSearch(small, store, [BAYES], {}, Limits()).searches[0].points[0].key
    stopped = {key: (Outcome(status="timeout", reason="took longer than 9 s"), Limits(seconds=9))}
    for seconds in (3.0, 9.0):
        search = GridSearch(small, store, [BAYES], stopped, Limits(seconds=seconds))
        started, (point,) = run(search, BAYES.name, small)
        assert not started
        assert (point.status, point.reason) == ("timeout", "took longer than 9 s")
        assert point.limits == Limits(seconds=9)
    search = GridSearch(small, store, [BAYES], stopped, Limits(seconds=100))
    started, (point,) = run(search, BAYES.name, small)
    assert len(started) == 1
    assert (point.status, point.limits) == ("ok", Limits())


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
    status: str, then: Limits, now: Limits, again: bool
) -> None:
    point = Point(classifier="a", written={}, parameters={}, key="k")
    ended = point.ended(Outcome(status=status, reason="why"), then)  # type: ignore[arg-type]
    assert ended.would_stop(now) is again


def test_a_limit_ends_a_point_and_spares_those_that_take_longer(
    store: Store, small: Dataset
) -> None:
    """The least of the boosted trees takes minutes on ten times as many images, never less."""
    search = GridSearch(small, store, [BOOSTING], {}, Limits(seconds=0.5))
    started, ended = run(search, BOOSTING.name, small)
    assert [point.parameters for point in started] == [{"n_estimators": 10, "max_depth": 3}]
    assert {point.status for point in ended} == {"timeout"}
    assert ended[0].reason == "took longer than 0.5 s"
    reason = "left out: with n_estimators 10, max_depth 3 it took too long already"
    assert {point.reason for point in ended[1:]} == {reason}


def test_points_of_one_fit_share_what_became_of_it(store: Store, small: Dataset) -> None:
    search = GridSearch(small, store, [LINEAR], {}, Limits(memory=1))
    started, ended = run(search, LINEAR.name, small)
    assert (len(started), len(ended)) == (12, 21)
    assert {point.status for point in ended} == {"out-of-memory"}
    assert search.searches[0].counts == {"points": 24, "never-valid": 3, "out-of-memory": 21}


def test_what_is_impractical_is_never_started(store: Store, small: Dataset) -> None:
    search = GridSearch(small, store, [PROCESS], {}, Limits())
    assert run(search, PROCESS.name, small) == ([], [])
    (found,) = search.searches
    assert found.finished
    assert found.chosen is None
    assert {point.status for point in found.points} == {"impractical"}
    assert all("23 GB" in (point.reason or "") for point in found.points)


def test_a_run_that_can_not_be_read_is_a_point_that_says_so(store: Store, small: Dataset) -> None:
    valid = replace(TREES, axes={"criterion": ("gini",), "max_depth": (1, 10)})
    run(GridSearch(small, store, [valid], {}, Limits()), valid.name, small)
    first, second = store.runs()
    (first.folder / "run.json").write_text("{")
    search = GridSearch(small, store, [valid], {}, Limits())
    started, ended = run(search, valid.name, small)
    assert started == []
    points = {point.key: point for point in ended}
    assert points[first.record.asked.key].status == "unreadable"
    assert "run.json can't be read" in (points[first.record.asked.key].reason or "")
    assert points[second.record.asked.key].status == "ok"
