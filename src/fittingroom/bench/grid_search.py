"""Try every point of a classifier's grid once, by validation images alone, and remember each."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fittingroom.bench.comparison import Status
from fittingroom.bench.executor import Job, Limits, Outcome
from fittingroom.bench.placement import Placement
from fittingroom.bench.progress import Progress
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import StoreError, TrainingError
from fittingroom.models.settings import settings_in_words
from fittingroom.models.zalando_grid import Grid
from fittingroom.runs.asked import asked_of_row
from fittingroom.runs.run import Run, label
from fittingroom.runs.store import Store

PointStatus = Status | Literal["impractical", "never-valid"]
#: No fit is tried.
_SETTLED = ("impractical", "never-valid")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One combination of a grid's values, and what became of it.

    Attributes
    ----------
    classifier : the row of the catalogue
    written : the parameters as the benchmark has them
    parameters : those that the row is given
    key : of its run; two points of one key are one fit
    choose_accuracy : on the `choose` half of the validation part
    limits : that it was stopped by, where it was
    """

    classifier: str
    written: Mapping[str, Any]
    parameters: Mapping[str, Any]
    key: str
    status: PointStatus = "interrupted"
    reason: str | None = "not fitted yet"
    choose_accuracy: float | None = None
    fit_seconds: float | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def label(self) -> str:
        """Its name in a table."""
        return label(self.classifier, self.parameters)

    def ended(self, outcome: Outcome, limits: Limits) -> Point:
        """The point after a fit that left no run."""
        return dataclasses.replace(
            self, status=outcome.status, reason=outcome.reason, limits=limits
        )

    def would_stop(self, limits: Limits) -> bool:
        """Whether it was stopped by limits that were no tighter than these."""
        if self.status == "timeout":
            return _no_looser(limits.seconds, self.limits.seconds)
        return self.status == "out-of-memory" and _no_looser(limits.memory, self.limits.memory)


@dataclass(frozen=True, kw_only=True)
class SearchedGrid:
    """A classifier's grid: its points, and the one that is best on `choose` once all are done."""

    grid: Grid
    points: tuple[Point, ...]

    @property
    def finished(self) -> bool:
        """Whether no point is still to be tried."""
        return all(point.status != "interrupted" for point in self.points)

    @property
    def chosen(self) -> Point | None:
        """Of equal points the first; None before all are done, or where none could be fitted."""
        fitted = [point for point in self.points if point.choose_accuracy is not None]
        if not fitted or not self.finished:
            return None
        return max(fitted, key=lambda point: point.choose_accuracy or 0.0)

    @property
    def counts(self) -> dict[str, int]:
        """Points in all, and by status."""
        statuses = Counter(point.status for point in self.points)
        return {"points": len(self.points), **dict(sorted(statuses.items()))}


class GridSearch:
    """The points of some grids, as far as they are known; `run` fits what is missing.

    Parameters
    ----------
    dataset : its test images are never read here
    store : where the runs go
    grids : whose points there are
    stopped : what earlier fits came to that left no run, by key
    limits : of one fit
    """

    def __init__(
        self,
        dataset: Dataset,
        store: Store,
        grids: Sequence[Grid],
        stopped: Mapping[str, tuple[Outcome, Limits]],
        limits: Limits,
    ) -> None:
        self._dataset, self._store, self.limits = dataset, store, limits
        self._choose = validation_split(dataset.train.labels).choose
        self._grids = {grid.name: grid for grid in grids}
        self._points = {
            grid.name: [self._known(grid, written, stopped) for written in grid.points]
            for grid in grids
        }

    @property
    def searches(self) -> tuple[SearchedGrid, ...]:
        return tuple(
            SearchedGrid(grid=grid, points=tuple(self._points[name]))
            for name, grid in self._grids.items()
        )

    def run(
        self, name: str, location: Path, placement: Placement, on_start: Callable[[Point], None]
    ) -> Iterator[Point]:
        """Try the points of one grid that aren't settled, and give each as it ends.

        Parameters
        ----------
        name : of the grid
        location : a folder that the data set is read from
        placement : fits the points, within this search's limits
        on_start : called before a fit

        Raises
        ------
        TrainingError : what ended a fit is no fault of its point, so that others would fare alike
        """
        points, known, under_way = self._points[name], deque[Point](), dict[int, int]()

        def jobs() -> Iterator[Job]:
            for number, point in enumerate(points):
                if point.status in _SETTLED:
                    continue
                if (end := self._without_a_fit(point)) is not None:
                    points[number] = end
                    known.append(end)
                    continue
                job = self._job(point, location)
                under_way[id(job)] = number
                yield job

        def on_event(job: Job, event: Mapping[str, Any]) -> None:
            if event["event"] == "started":
                on_start(points[under_way[id(job)]])

        for job, outcome in placement.run(jobs(), on_event):
            number = under_way[id(job)]
            saved = self._saved(points[number])
            if saved is None and outcome.status == "interrupted":  # no fault of the point's
                raise TrainingError(f"{points[number].label} was not fitted: {outcome.reason}")
            points[number] = saved or points[number].ended(outcome, self.limits)
            while known:
                yield known.popleft()
            yield points[number]
        yield from known

    def _known(
        self, grid: Grid, written: Mapping[str, Any], stopped: Mapping[str, tuple[Outcome, Limits]]
    ) -> Point:
        """The point as earlier runs left it."""
        parameters = grid.choices(written)
        _, asked = asked_of_row(
            self._dataset, grid.name, overrides=parameters, seed=0, full=False, reads_test=False
        )
        point = Point(classifier=grid.name, written=written, parameters=parameters, key=asked.key)
        if grid.impractical is not None:
            return dataclasses.replace(point, status="impractical", reason=grid.impractical)
        if grid.never_valid(written):
            reason = "scikit-learn refuses these values together"
            return dataclasses.replace(point, status="never-valid", reason=reason)
        if (saved := self._saved(point)) is not None:
            return saved
        if point.key in stopped:
            return point.ended(*stopped[point.key])
        return point

    def _saved(self, point: Point) -> Point | None:
        """The point with what its saved run says, None where there is none."""
        try:
            run = self._store.get(point.classifier, point.key, 0)
            return None if run is None else self._scored(point, run)
        except StoreError as error:
            return point.ended(Outcome(status="unreadable", reason=str(error)), self.limits)

    def _scored(self, point: Point, run: Run) -> Point:
        if run.validation is None:
            raise StoreError(f"{run.folder} says nothing of the validation part.")
        return dataclasses.replace(
            point,
            status="ok",
            reason=None,
            choose_accuracy=run.validation.accuracy_on(self._choose),
            fit_seconds=run.record.fit_seconds,
            limits=Limits(),
        )

    def _job(self, point: Point, location: Path) -> Job:
        return Job(
            dataset=str(location.resolve()),
            sha256=self._dataset.sha256,
            store=str(self._store.folder.resolve()),
            model=point.classifier,
            seed=0,
            full=False,
            reads_test=False,
            overrides=dict(point.parameters),
            keep_model=False,
        )

    def _without_a_fit(self, point: Point) -> Point | None:
        """The point's end, where it is saved, or where it or a quicker one was stopped before."""
        if (saved := self._saved(point)) is not None:
            return saved
        stopped = [p for p in self._points[point.classifier] if p.would_stop(self.limits)]
        for other in stopped:
            if other.key == point.key:
                return point.ended(
                    Outcome(status=other.status, reason=other.reason),  # type: ignore[arg-type]
                    other.limits,
                )
        for other in stopped:
            if other.status == "timeout" and self._is_quicker(other, point):
                quicker = settings_in_words(other.parameters)
                reason = f"left out: with {quicker} it took too long already"
                return point.ended(Outcome(status="timeout", reason=reason), other.limits)
        return None

    def _is_quicker(self, other: Point, point: Point) -> bool:
        """Whether `other` asks for no more of anything that takes time, and is else the same."""
        grows = self._grids[point.classifier].grows_with
        return bool(grows) and all(
            value <= point.written[name] if name in grows else value == point.written[name]
            for name, value in other.written.items()
        )


def progress_of(
    point: Point, kind: Literal["started", "saved", "failed"], done: int, total: int, at_once: int
) -> Progress:
    """A step of a search as the commands show it."""
    return Progress(
        kind=kind,
        model=point.label,
        seed=0,
        done=done,
        total=total,
        at_once=at_once,
        detail={"reason": point.reason},
    )


def _no_looser(now: float | None, then: float | None) -> bool:
    """Whether a limit leaves no more than an earlier one did; None leaves anything."""
    return then is None or (now is not None and now <= then)
