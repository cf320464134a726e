"""Fit every point of a classifier's grid once, scored on validation images only."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fittingroom.bench.bench import Bench
from fittingroom.bench.progress import Reporter
from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError, TrainingError
from fittingroom.execution.job import Limits
from fittingroom.models.settings import settings_in_words
from fittingroom.models.zalando_grid import Grid
from fittingroom.runs.attempt import Attempt, Status
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec, spec_of
from fittingroom.runs.store import Store

PointStatus = Status | Literal["impractical", "never-valid"]
#: A fit that left no run: its status, the reason, and its limits.
Stopped = tuple[Status, str | None, Limits]
#: Points that are never fitted.
_SETTLED = ("impractical", "never-valid")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One combination of a grid's values, and how its fit ended.

    Attributes
    ----------
    written : the parameters as the benchmark writes them
    spec : what is fitted; points with the same key share a fit
    choose_accuracy : on the selection half of the validation part
    limits : of the fit, if a limit stopped it
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
        """Its name in the catalogue."""
        return self.spec.model

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The settings that replace its defaults."""
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
        """Whether these limits would stop it: limits that were no tighter did."""
        if self.status == "timeout":
            return _at_most(limits.seconds, self.limits.seconds)
        return self.status == "out-of-memory" and _at_most(limits.memory, self.limits.memory)


@dataclass(frozen=True, kw_only=True)
class SearchedGrid:
    """A classifier's grid and its points; once all are done, the best on the selection half."""

    grid: Grid
    points: tuple[Point, ...]

    @property
    def finished(self) -> bool:
        """Whether all points are done."""
        return all(point.status != "interrupted" for point in self.points)

    @property
    def chosen(self) -> Point | None:
        """The first of the best points; None before all are done, or if none could be fitted."""
        fitted = [point for point in self.points if point.choose_accuracy is not None]
        if not fitted or not self.finished:
            return None
        return max(fitted, key=lambda point: point.choose_accuracy or 0.0)

    @property
    def counts(self) -> dict[str, int]:
        """Number of points, in total and by status."""
        statuses = Counter(point.status for point in self.points)
        return {"points": len(self.points), **dict(sorted(statuses.items()))}


class GridSearch:
    """The points of some grids, with the results of earlier runs; `fit` fits what is missing.

    Parameters
    ----------
    dataset : its test images are never read here
    store : where the runs go
    grids : to search
    stopped : earlier fits that left no run, by key
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
        self._selection = dataset.validation_split().selection
        self._grids = {grid.name: grid for grid in grids}
        self._points = {
            grid.name: [self._initial_point(grid, written, stopped) for written in grid.points]
            for grid in grids
        }

    @property
    def searches(self) -> tuple[SearchedGrid, ...]:
        return tuple(
            SearchedGrid(grid=grid, points=tuple(self._points[name]))
            for name, grid in self._grids.items()
        )

    def fit(self, names: Collection[str], bench: Bench, reporter: Reporter) -> Iterator[Point]:
        """Fit the open points of some grids; yield each as it ends.

        Parameters
        ----------
        names : of the grids
        bench : fits the points, within this search's limits

        Raises
        ------
        TrainingError : a fit failed for a reason other than its point, so others would fail too
        """
        for name in self._grids:
            if name in names:
                yield from self._fit(self._points[name], bench, reporter)

    def _fit(self, points: list[Point], bench: Bench, reporter: Reporter) -> Iterator[Point]:
        skipped, running = deque[int](), dict[RunSpec, deque[int]]()

        def specs() -> Iterator[RunSpec]:
            for number, point in enumerate(points):
                if point.status in _SETTLED:
                    continue
                if (result := self._result_without_fit(point)) is not None:
                    points[number] = result
                    skipped.append(number)
                    continue
                running.setdefault(point.spec, deque()).append(number)
                yield point.spec

        def results() -> Iterator[tuple[int, Attempt | None]]:
            for attempt in bench.attempts(specs(), reporter):
                while skipped:
                    yield skipped.popleft(), None
                yield running[attempt.spec].popleft(), attempt
            while skipped:
                yield skipped.popleft(), None

        for number, attempt in results():
            if attempt is not None:
                points[number] = self._update(points[number], attempt)
            point = points[number]
            status: Status = "ok" if point.status == "ok" else "failed"
            reporter.ended(Attempt(spec=point.spec, status=status, reason=point.reason))
            yield point

    def _update(self, point: Point, attempt: Attempt) -> Point:
        """The point with the result of its fit."""
        if (saved := self._saved(point)) is not None:
            return saved
        if attempt.status == "interrupted":
            raise TrainingError(f"{point.label} was not fitted: {attempt.reason}")
        return point.stopped(attempt.status, attempt.reason, self.limits)

    def _initial_point(
        self, grid: Grid, written: Mapping[str, Any], stopped: Mapping[str, Stopped]
    ) -> Point:
        """The point as earlier runs left it."""
        spec = spec_of(self._dataset, grid.name, settings=grid.choices(written), reads_test=False)
        point = Point(written=written, spec=spec)
        if grid.impractical is not None:
            return dataclasses.replace(point, status="impractical", reason=grid.impractical)
        if grid.refuses(written):
            reason = "scikit-learn rejects this combination of values"
            return dataclasses.replace(point, status="never-valid", reason=reason)
        if (saved := self._saved(point)) is not None:
            return saved
        if point.key in stopped:
            return point.stopped(*stopped[point.key])
        return point

    def _saved(self, point: Point) -> Point | None:
        """The point with the result of its saved run, None if there is none."""
        try:
            run = self._store.find(point.spec)
            return None if run is None else self._with_scores(point, run)
        except StoreError as error:
            return point.stopped("unreadable", str(error), self.limits)

    def _with_scores(self, point: Point, run: Run) -> Point:
        if run.validation is None:
            raise StoreError(f"{run.folder} holds no validation predictions.")
        return dataclasses.replace(
            point,
            status="ok",
            reason=None,
            choose_accuracy=run.validation.accuracy_on(self._selection),
            fit_seconds=run.record.fit_seconds,
            limits=Limits(),
        )

    def _result_without_fit(self, point: Point) -> Point | None:
        """The point's result if it is saved, or if it or a quicker point was stopped before."""
        if (saved := self._saved(point)) is not None:
            return saved
        stopped = [p for p in self._points[point.classifier] if p.would_stop(self.limits)]
        for other in stopped:
            if other.key == point.key:
                return point.stopped(other.status, other.reason, other.limits)
        for other in stopped:
            if other.status == "timeout" and self._is_quicker(other, point):
                quicker = settings_in_words(other.parameters)
                reason = f"left out: it took too long already with {quicker}"
                return point.stopped("timeout", reason, other.limits)
        return None

    def _is_quicker(self, other: Point, point: Point) -> bool:
        """Whether no parameter of `other` that costs time is larger, and all others are equal."""
        grows = self._grids[point.classifier].grows_with
        return bool(grows) and all(
            value <= point.written[name] if name in grows else value == point.written[name]
            for name, value in other.written.items()
        )


def _at_most(now: float | None, then: float | None) -> bool:
    """Whether a limit allows no more than an earlier one; None allows anything."""
    return then is None or (now is not None and now <= then)
