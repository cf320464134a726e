from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fittingroom.bench.progress import Progress
from fittingroom.bench.zalando.grid_search import GridSearch
from fittingroom.bench.zalando.zalando import FILE, STOPPED, Benchmark, planned_runs, zalando
from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError, TrainingError, UnknownNameError, UsageError
from fittingroom.execution.job import Limits
from fittingroom.models.catalog import BASELINES
from fittingroom.models.zalando_grid import GRIDS
from fittingroom.runs.attempt import Attempt
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import find_store, open_store

TWO = ["zalando-gaussian-nb", "zalando-passive-aggressive"]


@pytest.mark.slow
def test_the_chosen_points_are_on_a_leaderboard(tmp_path: Path, small: Dataset) -> None:
    """With real processes."""
    steps: list[Progress] = []
    benchmark = zalando(small, TWO, n_seeds=2, runs=tmp_path, on_progress=steps.append)
    searches = {search.grid.name: search for search in benchmark.searches}
    assert list(searches) == list(BASELINES)
    assert benchmark.complete
    assert benchmark.board is not None
    chosen = [searches[name].chosen for name in TWO]
    assert {row.model for row in benchmark.board.rows} == {point.label for point in chosen if point}
    rows = [benchmark.row_of(searches[name]) for name in TWO]
    assert [row.seeds for row in rows if row] == [1, 2]
    assert all(row.test and row.rank for row in rows if row)
    # Four points without the test split, three fits of the chosen ones with it.
    assert benchmark.board.test_reads == 3
    assert len(find_store(tmp_path).runs()) == 4 + 3
    assert (steps[-1].done, steps[-1].total) == (7, 7)
    assert searches["zalando-svc"].chosen is None
    assert searches["zalando-svc"].counts == {"points": 12, "interrupted": 12}

    # Saved points are reused; those that weren't requested are unchanged.
    steps.clear()
    again = zalando(small, TWO[:1], n_seeds=1, runs=tmp_path, on_progress=steps.append)
    assert {step.kind for step in steps} == {"saved"}
    assert again.searches == benchmark.searches


@pytest.mark.parametrize("at_once", [1, 2])
def test_points_chosen_on_validation_images_are_fitted_again(
    tmp_path: Path, small: Dataset, scripted: Callable[..., Any], at_once: int
) -> None:
    steps: list[Progress] = []

    def script(spec: RunSpec) -> list[float]:
        accuracies: dict[float | None, float] = {1.0: 0.7, 10.0: 0.9, 100.0: 0.8}
        return [accuracies.get(spec.settings.get("C"), 0.6)]

    limits = {"time_limit": 70.0, "memory_limit": 2**33}
    options: dict[str, Any] = {"runs": tmp_path, "on_progress": steps.append, **limits}
    with scripted(script, at_once) as executor:
        benchmark = zalando(small, TWO, n_seeds=2, on="local:2", **options)
    searched, compared = executor.specs[:4], executor.specs[4:]
    assert not any(spec.reads_test or spec.full for spec in searched)
    assert all(spec.reads_test for spec in compared)
    assert {(spec.model, spec.settings.get("C"), spec.seed) for spec in compared} == {
        (TWO[0], None, 0),
        (TWO[1], 10.0, 0),
        (TWO[1], 10.0, 1),
    }
    assert not any(job.keep_model for job in executor.jobs)
    assert executor.opened == [
        ("local:2", Limits(seconds=70.0, memory=2**33)),
        ("local:2", Limits(memory=2**33)),  # those of the chosen
    ]
    assert benchmark.board is not None
    assert [row.model for row in benchmark.board.rows] == [f"{TWO[1]}[C=10.0]", searched[0].label]
    assert benchmark.board.test_reads == 3
    assert benchmark.columns[6:] == ("test accuracy", "95% interval", "rank")
    ranks = {
        search["classifier"]: search["chosen"]["rank"]
        for search in benchmark.to_dict()["classifiers"]
        if search["chosen"]
    }
    assert ranks == {TWO[0]: (2, 2), TWO[1]: (1, 1)}
    assert (steps[-1].done, steps[-1].total) == (7, 7)
    assert [step.total for step in steps] == [7] * len(steps)
    done = [step.done for step in steps if step.kind != "started"]
    assert done == sorted(done)

    # Saved points are reused; those that weren't requested are unchanged.
    steps.clear()
    with scripted(script, at_once) as executor:
        again = zalando(small, TWO[:1], n_seeds=1, **options)
    assert executor.jobs == []
    assert {step.kind for step in steps} == {"saved"}
    assert again.searches == benchmark.searches


def test_the_file_has_the_result_of_every_point(
    tmp_path: Path, small: Dataset, monkeypatch: pytest.MonkeyPatch, scripted: Callable[..., Any]
) -> None:
    def too_large(spec: RunSpec) -> list[Attempt]:
        return [Attempt(spec=spec, status="out-of-memory", reason="needed more than 0 MiB")]

    steps: list[Progress] = []
    with scripted(too_large) as executor:
        with pytest.raises(TrainingError, match="no point of the grids could be fitted"):
            zalando(small, ["zalando-gaussian-nb"], runs=tmp_path, memory_limit=1)
        with pytest.raises(TrainingError):
            zalando(small, TWO[:1], runs=tmp_path, memory_limit=1, on_progress=steps.append)
    assert len(executor.jobs) == 1
    assert [step.kind for step in steps] == ["failed"], "what a limit stopped is remembered"
    assert steps[0].reason == "needed more than 0 MiB"
    path = find_store(tmp_path).folder / FILE
    written = json.loads(path.read_text())
    assert written["schema_version"] == 1
    assert written["leaderboard"] is None
    assert sum(len(of["points"]) for of in written["classifiers"]) == 143
    bayes = written["classifiers"][0]
    assert bayes["counts"] == {"points": 1, "out-of-memory": 1}
    assert bayes["points"][0]["limits"] == {"seconds": 900.0, "memory": 1}
    assert list(bayes["points"][0]) == [
        *("classifier", "written", "parameters", "key", "status", "reason", "choose_accuracy"),
        *("fit_seconds", "limits"),
    ]

    with scripted() as executor:
        benchmark = zalando(
            small, ["zalando-gaussian-nb"], n_seeds=1, runs=tmp_path, memory_limit=2**33
        )
    assert executor.opened[-1][1] == Limits(memory=2**33), "for the chosen"
    written = json.loads(path.read_text())
    assert written == json.loads(benchmark.to_json())
    assert benchmark.board is not None
    assert written["leaderboard"] == json.loads(benchmark.board.to_json())
    bayes = written["classifiers"][0]
    assert bayes["chosen"]["model"] == "zalando-gaussian-nb"
    assert bayes["chosen"]["parameters"] == {"priors": [0.1] * 10}
    assert bayes["chosen"]["test"]["accuracy"] == benchmark.board.rows[0].test.accuracy  # type: ignore[union-attr]

    def interrupt(step: Progress) -> None:
        raise KeyboardInterrupt

    with scripted() as executor, pytest.raises(KeyboardInterrupt):
        zalando(small, ["zalando-extra-tree"], runs=tmp_path, on_progress=interrupt)
    assert executor.ended == executor.specs, "what was begun is ended"
    assert json.loads(path.read_text()) == written, "what was finished stays"

    (path.parent / STOPPED).write_text('{"key": [')
    with pytest.raises(StoreError, match="move it away to try again"):
        zalando(small, ["zalando-gaussian-nb"], runs=tmp_path)


@pytest.mark.parametrize(
    ("status", "complete"),
    [("ok", True), ("timeout", True), ("out-of-memory", True), ("failed", False), ("nan", False)],
)
def test_reaching_a_limit_is_not_a_failure(
    small: Dataset, tmp_path: Path, status: Any, complete: bool
) -> None:
    (search, *_) = GridSearch(small, open_store(tmp_path, small), GRIDS, {}, Limits()).searches
    points = tuple(dataclasses.replace(point, status=status) for point in search.points)
    benchmark = Benchmark(
        dataset_name=small.name,
        dataset_sha256=small.sha256,
        searches=(dataclasses.replace(search, points=points),),
        board=None,
    )
    assert benchmark.complete is complete


def test_an_error_not_due_to_a_point_ends_the_search(
    tmp_path: Path, small: Dataset, scripted: Callable[..., Any]
) -> None:
    store = open_store(tmp_path, small)
    (store.folder / "zalando-gaussian-nb").write_text("where its runs should go")
    with scripted():
        with pytest.raises(TrainingError, match="zalando-gaussian-nb was not fitted: "):
            zalando(small, ["zalando-gaussian-nb"], runs=tmp_path)
        (store.folder / "zalando-gaussian-nb").unlink()
        assert zalando(small, ["zalando-gaussian-nb"], n_seeds=1, runs=tmp_path).complete


def test_the_plan_counts_the_points_to_try() -> None:
    assert planned_runs(list(BASELINES), 3) == {
        "points": (143 - 3 - 2, None),
        "chosen": (10 * 3 + 3, None),
    }


@pytest.mark.parametrize("options", [{"classifiers": ["svc"]}, {"classifiers": []}, {"n_seeds": 0}])
def test_invalid_values_are_rejected(tmp_path: Path, small: Dataset, options: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises((UnknownNameError, UsageError)):
        zalando(small, runs=tmp_path / "runs", **options)
    assert not (tmp_path / "runs").exists()
