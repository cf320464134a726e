"""The benchmark of the data set's makers, honestly selected: `compare --suite zalando`.

Each point of its grids is fitted without the validation part and never sees the test split. Each
classifier's best point on the selection half is then fitted again and tested, as a row of a
leaderboard like any other.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fittingroom.bench.bench import open_bench
from fittingroom.bench.comparison.cells import interval, rank
from fittingroom.bench.comparison.compare import fit_entrants
from fittingroom.bench.comparison.entrant import Entrant
from fittingroom.bench.comparison.leaderboard import Leaderboard, leaderboard
from fittingroom.bench.comparison.rows import Row
from fittingroom.bench.progress import OnProgress, Progress, Reporter
from fittingroom.bench.zalando.grid_search import GridSearch, SearchedGrid, Stopped
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.errors import StoreError, TrainingError, UsageError
from fittingroom.execution.executor import HERE
from fittingroom.execution.job import Limits
from fittingroom.json_text import json_text
from fittingroom.models.catalog import baselines_of
from fittingroom.models.settings import settings_in_words
from fittingroom.models.zalando_grid import GRIDS
from fittingroom.runs.attempt import Status
from fittingroom.runs.store import Store, open_store
from fittingroom.untrusted import STRICT, read_json

SCHEMA_VERSION = 1
FILE = "zalando.json"
#: Points that left no run, for the next search.
STOPPED = "zalando-stopped.json"

TESTED = "test accuracy"
COLUMNS = (
    *("classifier", "points", "fitted", "not fitted", "selected", "selection accuracy"),
    *(TESTED, "95% interval", "rank"),
)
#: Words of a table for points that have no accuracy.
NOT_FITTED = {
    "timeout": "too slow",
    "out-of-memory": "too large",
    "failed": "failed",
    "unreadable": "unreadable",
    "nan": "not finite",
    "impractical": "impractical",
    "never-valid": "never valid",
    "interrupted": "not tried yet",
}
TEXTS = frozenset({"classifier", "not fitted", "selected"})


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The grids, and a leaderboard of the chosen points (None before they are compared)."""

    dataset_name: str
    dataset_sha256: str
    searches: tuple[SearchedGrid, ...]
    board: Leaderboard | None = None

    def row_of(self, search: SearchedGrid) -> Row | None:
        """The leaderboard's row of a classifier's chosen point."""
        chosen = search.chosen
        if self.board is None or chosen is None:
            return None
        return next((row for row in self.board.rows if row.model == chosen.label), None)

    @property
    def complete(self) -> bool:
        """Whether no fit failed. Reaching a limit is a result, not a failure."""
        points = [point for search in self.searches for point in search.points]
        wrong = any(point.status in ("failed", "nan") for point in points)
        return not wrong and (self.board is None or self.board.complete)

    @property
    def columns(self) -> tuple[str, ...]:
        """`COLUMNS`, with the figure that the chosen points are ranked by."""
        figure = "accuracy" if self.board is None else self.board.figure
        return tuple(f"test {figure}" if name == TESTED else name for name in COLUMNS)

    @property
    def numbers(self) -> frozenset[str]:
        """The columns that are numbers."""
        return frozenset(self.columns) - TEXTS

    @property
    def cells(self) -> list[list[str]]:
        """One line per classifier, with a text for each of `columns`."""
        return [_cells(search, self.row_of(search)) for search in self.searches]

    def to_dict(self) -> dict[str, Any]:
        """`zalando.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "dataset": {"name": self.dataset_name, "sha256": self.dataset_sha256},
            "classifiers": [self._classifier(search) for search in self.searches],
            "leaderboard": None if self.board is None else self.board.to_dict(),
        }

    def to_json(self) -> str:
        return json_text(self.to_dict())

    def _classifier(self, search: SearchedGrid) -> dict[str, Any]:
        chosen, row = search.chosen, self.row_of(search)
        return {
            "classifier": search.grid.name,
            "written": search.grid.written,
            "repaired": search.grid.adaptation,
            "counts": search.counts,
            "chosen": chosen
            and {
                "model": chosen.label,
                "parameters": dict(chosen.written),
                "choose_accuracy": chosen.choose_accuracy,
                "rank": row.rank if row else None,
                "validation": row and row.validation and row.validation.to_dict(),
                "test": row and row.test and row.test.to_dict(),
            },
            "points": [point.to_dict() for point in search.points],
        }


def zalando(
    dataset: Dataset | str | Path = "fashion-mnist",
    classifiers: Sequence[str] | None = None,
    *,
    n_seeds: int = 3,
    full: bool = False,
    runs: Path | str = "runs",
    time_limit: float | None = 900.0,
    memory_limit: int | None = None,
    on: str = HERE,
    command: str | None = None,
    on_progress: OnProgress | None = None,
) -> Benchmark:
    """Search the grids of the makers' benchmark, then compare the chosen points.

    Every point is fitted once, in a child process. Saved points are not fitted again, and points
    that a limit stopped only under a looser one. The chosen points have no time limit.

    Parameters
    ----------
    dataset : a data set, a name of the catalogue, or a path
    classifiers : names of `BASELINES` to search now; None is all; the others are shown as saved
    n_seeds : number of fits of each chosen point, each with its own order of the training images
    full : train the chosen points on the validation part too
    runs : the folder of saved runs
    time_limit : seconds for the fit of one point with its predictions
    memory_limit : resident bytes of the fitting process and its children
    on : where fits run, see :func:`.executor.open_executor`
    command : shown as the way to reproduce this
    on_progress : called with each step

    Raises
    ------
    UnknownNameError, UsageError : no such classifier, fewer than one seed
    TrainingError : no point could be fitted, or a fit failed for a reason other than its point
    DataError, StoreError : the data can't be loaded, or the runs folder can't be read or written
    """
    if n_seeds < 1:
        raise UsageError(f"n_seeds is {n_seeds}; at least 1 is needed.")
    names = baselines_of(classifiers)
    dataset = load_dataset(dataset)
    store = open_store(runs, dataset)
    limits = Limits(seconds=time_limit, memory=memory_limit)
    search = GridSearch(dataset, store, GRIDS, _read_stopped(store), limits)
    total = sum(n for n, _ in planned_runs(names, n_seeds).values())
    with open_bench(dataset, store, on=on, limits=limits, keep_models=False) as bench:
        reporter = Reporter(on_progress, total=total, at_once=lambda: bench.executor.at_once)
        for _ in search.fit(names, bench, reporter):
            _write_stopped(store, search)
    entrants = [
        Entrant(name=searched.grid.name, settings=searched.chosen.parameters)
        for searched in search.searches
        if searched.chosen
    ]
    if not entrants:
        _save(dataset, store, search, None)
        raise TrainingError(
            "no point of the grids could be fitted; perhaps the limits are too tight. "
            f"{store.folder / FILE} has the reasons."
        )
    fit_entrants(
        *(dataset, store, entrants),
        n_seeds=n_seeds,
        full=full,
        limits=Limits(memory=memory_limit),
        keep_models="none",
        on=on,
        command=command,
        on_progress=_offset(reporter.done, on_progress),
    )
    board = leaderboard(store)
    return _save(dataset, store, search, board)


def planned_runs(classifiers: Sequence[str], n_seeds: int) -> dict[str, tuple[int, float | None]]:
    """At most how many runs are needed for the points, and how many for the chosen ones."""
    grids = [grid for grid in GRIDS if grid.name in classifiers and grid.impractical is None]
    points = sum(not grid.refuses(point) for grid in grids for point in grid.points)
    chosen = sum(1 if grid.deterministic else n_seeds for grid in grids)
    return {"points": (points, None), "chosen": (chosen, None)}


def _cells(search: SearchedGrid, row: Row | None) -> list[str]:
    counts, chosen = search.counts, search.chosen
    causes = [f"{counts[status]} {name}" for status, name in NOT_FITTED.items() if status in counts]
    head = [search.grid.name, str(counts["points"]), str(counts.get("ok", 0)), ", ".join(causes)]
    if chosen is None:
        return [*head, *[""] * 5]
    score = row.test if row else None
    return [
        *head,
        settings_in_words(chosen.parameters) if counts["points"] > 1 else "the only point",
        f"{chosen.choose_accuracy:.4f}",
        f"{score.headline:.4f}" if score else row.status if row else "",
        interval(score),
        rank(row) if row else "-",
    ]


def _offset(done: int, on_progress: OnProgress | None) -> OnProgress:
    """Progress of a comparison that follows `done` runs."""

    def report(step: Progress) -> None:
        if on_progress is not None:
            on_progress(dataclasses.replace(step, done=done + step.done, total=done + step.total))

    return report


def _save(
    dataset: Dataset, store: Store, search: GridSearch, board: Leaderboard | None
) -> Benchmark:
    benchmark = Benchmark(
        dataset_name=dataset.name,
        dataset_sha256=dataset.sha256,
        searches=search.searches,
        board=board,
    )
    store.write_text(FILE, benchmark.to_json())
    return benchmark


def _write_stopped(store: Store, search: GridSearch) -> None:
    stopped = {
        point.key: {
            "status": point.status,
            "reason": point.reason,
            "limits": dataclasses.asdict(point.limits),
        }
        for searched in search.searches
        for point in searched.points
        if point.status in ("failed", "nan", "timeout", "out-of-memory")
    }
    store.write_text(STOPPED, json_text(stopped))


@dataclass(frozen=True)
class _Stopped:
    """A point that left no run, as `zalando-stopped.json` stores it."""

    __pydantic_config__ = STRICT

    status: Status
    reason: str | None
    limits: Limits


def _read_stopped(store: Store) -> dict[str, Stopped]:
    path = store.folder / STOPPED
    if not os.path.lexists(path):
        return {}
    try:
        stopped = read_json(path, StoreError, dict[str, _Stopped], within=store.folder)
    except StoreError as error:
        remedy = "move it away to try again the points that were stopped"
        raise StoreError(f"{str(error).rstrip('.')}; {remedy}.") from error
    return {key: (point.status, point.reason, point.limits) for key, point in stopped.items()}
