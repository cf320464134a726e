"""The runs of a comparison: which are missing, and what became of each."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fittingroom.bench.cells import duration
from fittingroom.bench.comparison import Comparison, Entry
from fittingroom.bench.entrant import Entrant
from fittingroom.bench.executor import Job, Limits, Outcome
from fittingroom.bench.placement import Placement
from fittingroom.bench.progress import OnProgress, Progress
from fittingroom.bench.worker import one_line
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import DataError, FittingroomError, NotFiniteError, StoreError
from fittingroom.runs.asked import Asked
from fittingroom.runs.run import label
from fittingroom.runs.store import Store

log = logging.getLogger(__name__)


class Plan:
    """The runs to be made, and what became of them so far: `comparison.json` after every model.

    A model of which one run failed gets no further ones; those under way are finished.
    """

    def __init__(
        self,
        dataset: Dataset,
        store: Store,
        entrants: Sequence[Entrant],
        *,
        seeds: int,
        full: bool,
        command: str | None,
        on_progress: OnProgress,
    ) -> None:
        self._dataset, self._store, self._full = dataset, store, full
        self._command, self._on_progress = command, on_progress
        train = dataset.train.labels
        trained_on = len(train) if full else len(validation_split(train).train)
        self._standings = {}
        for entrant in entrants:
            asked = entrant.asked(dataset, 0, full)
            entry = Entry.of(
                asked,
                label=entrant.label,
                seeds=(0,) if entrant.deterministic else tuple(range(seeds)),
                deterministic=entrant.deterministic,
                trained_on=trained_on,
            )
            if asked.not_found_again:
                entry = entry.ended("interrupted", "not finished; the same command begins it anew")
            self._standings[entrant.label] = _Standing(
                entrant, asked, entry, entrant.seconds(dataset)
            )
        self._at_once = 1
        self._looks: tuple[Mapping[str, int], ...] = ()
        with suppress(StoreError):  # a damaged one is written anew
            self._looks = before.looks if (before := Comparison.load(store)) else ()
        self._save()

    @property
    def entries(self) -> list[Entry]:
        """What was asked of each model, and how that ended."""
        return [standing.entry for standing in self._standings.values()]

    def fit(
        self, placement: Placement, location: Path, limits: Limits, *, keep_model: bool
    ) -> None:
        """Make the runs that the store doesn't hold.

        Parameters
        ----------
        placement
            Fits those of the catalogue; estimators of the caller's own are fitted here meanwhile.
        location
            The folder that the data set is read from.
        limits
            A model that is expected to take longer is left out.
        keep_model
            Whether fitted models are saved.
        """
        self._at_once = placement.at_once
        jobs = self._jobs(location, limits.seconds, keep_model)
        for job, outcome in placement.run(jobs, self._on_event):
            self._at_once = placement.at_once
            self._ended(self._standing(job), job.seed, outcome)

    def _jobs(self, location: Path, limit: float | None, keep_model: bool) -> Iterator[Job]:
        """The missing runs of the catalogue, each model's together."""
        for standing in self._standings.values():
            entrant, entry = standing.entrant, standing.entry
            expected = standing.expected or 0
            while standing.to_come:
                seed = standing.to_come.pop(0)
                if (saved := self._saved(entry, seed)) is not None:
                    self._ended(standing, seed, saved)
                elif limit is not None and expected > limit:
                    reason = _too_long(expected, limit)
                    self._ended(standing, seed, Outcome(status="timeout", reason=reason))
                elif entrant.own is not None:
                    self._tell("started", standing, seed)
                    self._ended(standing, seed, self._fit_own(standing, seed))
                else:
                    yield Job(
                        dataset=str(location.resolve()),
                        sha256=self._dataset.sha256,
                        store=str(self._store.folder.resolve()),
                        model=entrant.name,
                        seed=seed,
                        full=self._full,
                        overrides=dict(entrant.overrides),
                        keep_model=keep_model,
                    )

    def _saved(self, entry: Entry, seed: int) -> Outcome | None:
        """What is known of a run already."""
        try:
            run = self._store.get(entry.model, entry.key, seed)
        except StoreError as error:
            return Outcome(status="unreadable", reason=str(error))
        return None if run is None else Outcome(status="ok")

    def _on_event(self, job: Job, event: Mapping[str, Any]) -> None:
        self._tell(event["event"], self._standing(job), job.seed, **event)

    def _standing(self, job: Job) -> _Standing:
        return self._standings[label(job.model, job.overrides)]

    def _ended(self, standing: _Standing, seed: int, outcome: Outcome) -> None:
        standing.end(seed, outcome)
        if outcome.status == "ok":
            self._tell("saved", standing, seed)
        else:
            self._tell("failed", standing, seed, reason=standing.reason(seed))
        if not standing.left:
            self._save()

    def _tell(self, kind: Any, standing: _Standing, seed: int, **detail: Any) -> None:
        total = sum(len(standing.entry.seeds) for standing in self._standings.values())
        left = sum(len(standing.left) for standing in self._standings.values())
        self._on_progress(
            Progress(
                kind=kind,
                model=standing.entrant.label,
                seed=seed,
                done=total - left,
                total=total,
                at_once=self._at_once,
                expected=standing.expected,
                detail=detail,
            )
        )

    def looked_at(self) -> None:
        """Remember that the table is shown now, with as many seeds as it has."""
        self._looks = self._comparison.looked_at().looks
        self._save()

    @property
    def _comparison(self) -> Comparison:
        return Comparison(entries=tuple(self.entries), command=self._command, looks=self._looks)

    def _save(self) -> None:
        self._comparison.save(self._store)

    def _fit_own(self, standing: _Standing, seed: int) -> Outcome:
        """Fit an estimator that exists in this process alone; only its predictions are saved."""
        from fittingroom.runs.fit import fit_run

        entrant, entry = standing.entrant, standing.entry
        try:
            fit_run(
                self._store,
                self._dataset,
                entrant.classifier(self._dataset, seed),
                dataclasses.replace(standing.asked, seed=seed),
                family="own",
                deterministic=entry.deterministic,
                keep_model=False,
                on_epoch=lambda epoch, epochs: self._tell(
                    "epoch", standing, seed, epochs=epochs, **vars(epoch)
                ),
            )
        except NotFiniteError as error:
            return Outcome(status="nan", reason=str(error))
        except (DataError, StoreError) as error:  # the fit itself may be sound
            return Outcome(status="interrupted", reason=str(error))
        except FittingroomError as error:
            return Outcome(status="failed", reason=str(error))
        except MemoryError as error:
            return Outcome(status="out-of-memory", reason=one_line(error))
        except Exception as error:  # whatever a stranger's estimator raises is its row's reason
            return Outcome(status="failed", reason=one_line(error))
        if standing.asked.not_found_again and seed == entry.seeds[0]:
            log.warning(
                "%s is fitted anew by every comparison: %s. Earlier runs of it stay in %s until "
                "you remove them.",
                entrant.name,
                standing.asked.not_found_again,
                self._store.folder / entrant.name,
            )
        return Outcome(status="ok")


class _Standing:
    """How far a model has got."""

    def __init__(
        self, entrant: Entrant, asked: Asked, entry: Entry, expected: float | None
    ) -> None:
        self.entrant, self.asked, self._entry = entrant, asked, entry
        self.expected = expected  # seconds of one fit
        self.to_come = list(entry.seeds)
        self.left = set(entry.seeds)  # those under way too
        self._failures: dict[int, Outcome] = {}

    @property
    def entry(self) -> Entry:
        """What was asked, and how it ended if it has; of several failures the first seed's."""
        if self.left:
            return self._entry
        if not self._failures:
            return self._entry.ended("ok")
        first = min(self._failures)
        return self._entry.ended(self._failures[first].status, self.reason(first))

    def end(self, seed: int, outcome: Outcome) -> None:
        self.left.discard(seed)
        if outcome.status != "ok":
            self._failures[seed] = outcome
            self.left -= set(self.to_come)
            self.to_come.clear()

    def reason(self, seed: int) -> str | None:
        """Why a seed failed; it is named where others may not have."""
        reason = self._failures[seed].reason
        return reason if seed == self._entry.seeds[0] else f"seed {seed}: {reason}"


def _too_long(expected: float, limit: float) -> str:
    return (
        f"left out: expected to take about {duration(expected)} here, more than the limit of "
        f"{duration(limit)}"
    )
