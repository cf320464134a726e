"""Try every point of a classifier's grid once, by validation images alone, and remember each."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fittingroom.bench.bench import Bench
from fittingroom.bench.progress import Reporter
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import StoreError, TrainingError
from fittingroom.execution.job import Limits
from fittingroom.models.settings import settings_in_words
from fittingroom.models.zalando_grid import Grid
from fittingroom.runs.attempt import Attempt, Status
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec, spec_of
from fittingroom.runs.store import Store

PointStatus = Status | Literal["impractical", "never-valid"]
#: How a fit ended that left no run: its status, the reason, and the limits that it had.
Stopped = tuple[Status, str | None, Limits]
#: No fit is tried.
_SETTLED = ("impractical", "never-valid")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One combination of a grid's values, and what became of it.

    Attributes
    ----------
    written : the parameters as the benchmark has them
    spec : what is fitted; two points of one key are one fit
    choose_accuracy : on the selection half of the validation part
    limits : that it was stopped by, where it was
    """

    written: Mapping[str, Any]
    spec: RunSpec
    status: PointStatus = "interrupted"
    reason: str | None = "not fitted yet"
    choose_accuracy: float | None = None
    fit_seconds: float | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def classifier(self) -> str:
        """The row of the catalogue."""
        return self.spec.model

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Those that the row is given."""
        return self.spec.settings

    @property
    def key(self) -> str:
        return self.spec.key

    @property
    def label(self) -> str:
        """Its name in a table."""
        return self.spec.label

    def stopped(self, status: PointStatus, reason: str | None, limits: Limits) -> Point:
        """The point after a fit that left no run."""
        return dataclasses.replace(self, status=status, reason=reason, limits=limits)

    def to_dict(self) -> dict[str, Any]:
        """A point of `zalando.json`."""
        fields = dataclasses.asdict(self)
        del fields["written"], fields["spec"]
        return {
            "classifier": self.classifier,
            "written": dict(self.written),
            "parameters": dict(self.parameters),
            "key": self.key,
            **fields,
        }

    def would_stop(self, limits: Limits) -> bool:
        """Whether it was stopped by limits that were no tighter than these."""
        if self.status == "timeout":
            return _no_looser(limits.seconds, self.limits.seconds)
        return self.status == "out-of-memory" and _no_looser(limits.memory, self.limits.memory)


@dataclass(frozen=True, kw_only=True)
class SearchedGrid:
    """A classifier's grid, and once all its points are done the best on the selection half."""

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
    """The points of some grids, as far as they are known; `fit` fits what is missing.

    Parameters
    ----------
    dataset : its test images are never read here
    store : where the runs go
    grids : whose points there are
    stopped : how earlier fits ended that left no run, by key
    limits : of one fit
    """

    def __init__(
        self,
        dataset: Dataset,
        store: Store,
        grids: Sequence[Grid],
        stopped: Mapping[str, Stopped],
        limits: Limits,
    ) -> None:
        self._dataset, self._store, self.limits = dataset, store, limits
        self._selection = validation_split(dataset.train.labels).selection
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

    def fit(self, names: Collection[str], bench: Bench, reporter: Reporter) -> Iterator[Point]:
        """Try the points of some grids that aren't settled; each as it ends.

        Parameters
        ----------
        names : of the grids
        bench : fits the points, within this search's limits

        Raises
        ------
        TrainingError : what ended a fit isn't the fault of its point, so others would fail alike
        """
        for name in self._grids:
            if name in names:
                yield from self._fit(self._points[name], bench, reporter)

    def _fit(self, points: list[Point], bench: Bench, reporter: Reporter) -> Iterator[Point]:
        known, under_way = deque[int](), dict[RunSpec, deque[int]]()

        def specs() -> Iterator[RunSpec]:
            for number, point in enumerate(points):
                if point.status in _SETTLED:
                    continue
                if (end := self._without_a_fit(point)) is not None:
                    points[number] = end
                    known.append(number)
                    continue
                under_way.setdefault(point.spec, deque()).append(number)
                yield point.spec

        def ended() -> Iterator[tuple[int, Attempt | None]]:
            for attempt in bench.attempts(specs(), reporter):
                while known:
                    yield known.popleft(), None
                yield under_way[attempt.spec].popleft(), attempt
            while known:
                yield known.popleft(), None

        for number, attempt in ended():
            if attempt is not None:
                points[number] = self._after(points[number], attempt)
            point = points[number]
            status: Status = "ok" if point.status == "ok" else "failed"
            reporter.ended(Attempt(spec=point.spec, status=status, reason=point.reason))
            yield point

    def _after(self, point: Point, attempt: Attempt) -> Point:
        """The point after its fit."""
        if (saved := self._saved(point)) is not None:
            return saved
        if attempt.status == "interrupted":
            raise TrainingError(f"{point.label} was not fitted: {attempt.reason}")
        return point.stopped(attempt.status, attempt.reason, self.limits)

    def _known(
        self, grid: Grid, written: Mapping[str, Any], stopped: Mapping[str, Stopped]
    ) -> Point:
        """The point as earlier runs left it."""
        spec = spec_of(self._dataset, grid.name, settings=grid.choices(written), reads_test=False)
        point = Point(written=written, spec=spec)
        if grid.impractical is not None:
            return dataclasses.replace(point, status="impractical", reason=grid.impractical)
        if grid.never_valid(written):
            reason = "scikit-learn refuses these values together"
            return dataclasses.replace(point, status="never-valid", reason=reason)
        if (saved := self._saved(point)) is not None:
            return saved
        if point.key in stopped:
            return point.stopped(*stopped[point.key])
        return point

    def _saved(self, point: Point) -> Point | None:
        """The point with what its saved run says, None where there is none."""
        try:
            run = self._store.find(point.spec)
            return None if run is None else self._scored(point, run)
        except StoreError as error:
            return point.stopped("unreadable", str(error), self.limits)

    def _scored(self, point: Point, run: Run) -> Point:
        if run.validation is None:
            raise StoreError(f"{run.folder} says nothing of the validation part.")
        return dataclasses.replace(
            point,
            status="ok",
            reason=None,
            choose_accuracy=run.validation.accuracy_on(self._selection),
            fit_seconds=run.record.fit_seconds,
            limits=Limits(),
        )

    def _without_a_fit(self, point: Point) -> Point | None:
        """The point's end, where it is saved, or where it or a quicker one was stopped before."""
        if (saved := self._saved(point)) is not None:
            return saved
        stopped = [p for p in self._points[point.classifier] if p.would_stop(self.limits)]
        for other in stopped:
            if other.key == point.key:
                return point.stopped(other.status, other.reason, other.limits)
        for other in stopped:
            if other.status == "timeout" and self._is_quicker(other, point):
                quicker = settings_in_words(other.parameters)
                reason = f"left out: with {quicker} it took too long already"
                return point.stopped("timeout", reason, other.limits)
        return None

    def _is_quicker(self, other: Point, point: Point) -> bool:
        """Whether `other` asks for no more of anything that takes time, and is else the same."""
        grows = self._grids[point.classifier].grows_with
        return bool(grows) and all(
            value <= point.written[name] if name in grows else value == point.written[name]
            for name, value in other.written.items()
        )


def _no_looser(now: float | None, then: float | None) -> bool:
    """Whether a limit leaves no more than an earlier one did; None leaves anything."""
    return then is None or (now is not None and now <= then)
