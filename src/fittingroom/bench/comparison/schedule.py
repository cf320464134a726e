"""The specs of a comparison, in order, and how each of its entrants ended."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from fittingroom.bench.bench import Bench
from fittingroom.bench.comparison.comparison import Comparison, Entry
from fittingroom.bench.comparison.entrant import Entrant
from fittingroom.bench.comparison.standing import Standing
from fittingroom.bench.feasibility import why_too_large, why_too_long
from fittingroom.bench.progress import OnProgress, Reporter
from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError
from fittingroom.runs.attempt import Attempt
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec, expected_seconds
from fittingroom.runs.store import Store

log = logging.getLogger(__name__)


class Schedule:
    """Which specs are fitted, and how they ended; saved in `comparison.json` after every model.

    After a failed run no more of that model are started; running ones finish.

    Parameters
    ----------
    dataset, store, entrants, n_seeds, full, command
        As for :func:`.compare.fit_entrants`.
    memory
        Bytes that a fit can have at most, see :func:`.executor.most_memory`; a model that certainly
        needs more is left out.
    """

    def __init__(
        self,
        dataset: Dataset,
        store: Store,
        entrants: Sequence[Entrant],
        *,
        n_seeds: int,
        full: bool,
        command: str | None = None,
        memory: int | None = None,
    ) -> None:
        self._dataset, self._store, self._command = dataset, store, command
        self._memory = memory
        train = dataset.train.labels
        trained_on = len(train) if full else len(dataset.validation_split().train)
        self._turns = {
            entrant.label: _Turn(entrant, entrant.spec(dataset, full=full), n_seeds, trained_on)
            for entrant in entrants
        }
        self._by_spec = {spec: turn for turn in self._turns.values() for spec in turn.specs}
        self._standing = Standing(store.card.copies)
        self._looks: tuple[Mapping[str, int], ...] = ()
        with suppress(StoreError):  # a damaged file is overwritten
            self._looks = before.looks if (before := Comparison.load(store)) else ()
        self._save()

    @property
    def entries(self) -> list[Entry]:
        """The entry of each model, with how it ended."""
        return [turn.entry for turn in self._turns.values()]

    def models_to_fit(self, limit: float | None) -> list[str]:
        """Models of the catalogue that `fit` will fit, in order: the store lacks a run."""
        names = (
            spec.model
            for spec, turn in self._by_spec.items()
            if turn.entrant.own is None
            and turn.left_out(self._dataset, limit, self._memory) is None
            and not self._store.holds(spec)
        )
        return [*dict.fromkeys(names)]

    def fit(self, bench: Bench, limit: float | None, on_progress: OnProgress | None) -> None:
        """Fit the runs that the store lacks.

        Parameters
        ----------
        bench
            Fits them.
        limit
            Seconds; a model that is expected to take longer is left out.
        """
        reporter = Reporter(
            on_progress,
            total=len(self._by_spec),
            at_once=lambda: bench.executor.at_once,
            name=lambda spec: self._by_spec[spec].entrant.label,
            expected=lambda spec: self._by_spec[spec].expected(self._dataset),
        )
        for attempt in bench.attempts(self._specs(bench, limit, reporter), reporter):
            self._record(attempt, reporter)

    def _specs(self, bench: Bench, limit: float | None, reporter: Reporter) -> Iterator[RunSpec]:
        """The specs, model by model, until one of a model fails or would take too long."""
        for turn in self._turns.values():
            left_out = turn.left_out(self._dataset, limit, self._memory)
            while turn.remaining:
                spec = turn.remaining.pop(0)
                if left_out is not None and bench.saved(spec) is None:
                    self._record(dataclasses.replace(left_out, spec=spec), reporter)
                else:
                    yield spec

    def _record(self, attempt: Attempt, reporter: Reporter) -> None:
        turn = self._by_spec[attempt.spec]
        ended = turn.end(attempt)
        note = ""
        if turn.over:
            self._save()
            with suppress(StoreError):  # the table will say that a run is damaged
                runs = turn.hand_over_runs()
                note = self._standing.add(turn.entry, runs) if runs else ""
        reporter.ended(attempt, runs=ended, reason=turn.reason(attempt), note=note)

    def looked_at(self) -> None:
        """Record a look at the table, with its numbers of seeds."""
        self._looks = self._comparison.looked_at().looks
        self._save()

    @property
    def _comparison(self) -> Comparison:
        return Comparison(entries=tuple(self.entries), command=self._command, looks=self._looks)

    def _save(self) -> None:
        self._comparison.save(self._store)


class _Turn:
    """The fits of one model, and their progress."""

    def __init__(self, entrant: Entrant, first: RunSpec, n_seeds: int, trained_on: int) -> None:
        numbers = range(1 if entrant.deterministic else n_seeds)
        self.entrant = entrant
        self.specs = [dataclasses.replace(first, seed=seed) for seed in numbers]
        self.remaining = [*self.specs]
        self._open = {*self.specs}  # running ones too
        self._failures: list[Attempt] = []
        self._runs: list[Run] = []
        self._entry = Entry.of(
            first,
            label=entrant.label,
            seeds=tuple(numbers),
            deterministic=entrant.deterministic,
            trained_on=trained_on,
        )
        if first.not_found_again:
            reason = "not finished; the same command fits it again from the start"
            self._entry = self._entry.ended("interrupted", reason)

    def hand_over_runs(self) -> list[Run]:
        """The runs of a model, once, as each holds its predictions; none after a failure."""
        runs, self._runs = self._runs, []
        runs.sort(key=lambda run: run.record.spec.seed)
        return [] if self._failures else runs

    @property
    def over(self) -> bool:
        return not self._open

    @property
    def entry(self) -> Entry:
        """The entry, with how it ended; of several failures that of the first seed."""
        if not self.over:
            return self._entry
        if not self._failures:
            return self._entry.ended("ok")
        first = min(self._failures, key=lambda attempt: attempt.spec.seed)
        return self._entry.ended(first.status, self.reason(first))

    def expected(self, dataset: Dataset) -> float | None:
        """Expected seconds of one fit; None if unknown."""
        return expected_seconds(self.specs[0], dataset) if self.entrant.own is None else None

    def left_out(self, dataset: Dataset, limit: float | None, memory: int | None) -> Attempt | None:
        """How its first fit ends without being started; None if it may start.

        Parameters
        ----------
        limit : seconds that a fit may take
        memory : bytes that a fit can have
        """
        if self.entrant.own is not None:
            return None
        spec = self.specs[0]
        if (reason := why_too_large(spec, dataset, memory)) is not None:
            return Attempt(spec=spec, status="out-of-memory", reason=f"left out: {reason}")
        if (reason := why_too_long(self.expected(dataset), limit)) is not None:
            return Attempt(spec=spec, status="timeout", reason=reason)
        return None

    def end(self, attempt: Attempt) -> int:
        """Record how a spec ended. Returns how many specs this settles."""
        before = len(self._open)
        self._open.discard(attempt.spec)
        if attempt.run is not None:
            self._runs.append(attempt.run)
        if attempt.status != "ok":
            self._failures.append(attempt)
            self._open -= {*self.remaining}
            self.remaining.clear()
        elif attempt.spec == self.specs[0] and (reason := attempt.spec.not_found_again):
            assert attempt.run is not None
            log.warning(
                "%s is refitted in every comparison: %s. Its earlier runs stay in %s until you "
                "remove them.",
                *(self.entrant.name, reason, attempt.run.folder.parent),
            )
        return before - len(self._open)

    def reason(self, attempt: Attempt) -> str | None:
        """Why a run failed; names the seed unless it is the first."""
        if attempt.reason is None or attempt.spec.seed == self.specs[0].seed:
            return attempt.reason
        return f"seed {attempt.spec.seed}: {attempt.reason}"
