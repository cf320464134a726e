"""The trials of a search: their settings fitted in child processes, and how that ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from fittingroom.bench.executor import Job, Outcome
from fittingroom.bench.placement import ENDED, Placement
from fittingroom.bench.progress import OnProgress, Progress
from fittingroom.bench.search import HeldTrial, Search
from fittingroom.bench.tuning import Trial
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import StoreError, TrainingError, UsageError
from fittingroom.evaluation.overstatement import Overstatement, overstatement
from fittingroom.runs.asked import Asked, asked_of_row
from fittingroom.runs.run import Run
from fittingroom.runs.store import Store


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What all trials of a search have in common."""

    dataset: Dataset
    model: str
    store: Store
    search: Search
    asked: int
    folds: int
    seed: int
    prune: bool
    tell: OnProgress

    def job(self, settings: Mapping[str, Any]) -> tuple[Job, Asked]:
        """What is to be fitted, in words, and the key it will be saved by. Raises UsageError."""
        overrides = dict(settings)
        model = overrides.pop("model", self.model)
        full = self.folds > 0
        _, asked = asked_of_row(
            self.dataset, model, overrides=overrides, seed=self.seed, full=full, reads_test=False
        )
        assert self.dataset.location is not None  # it was loaded from somewhere
        job = Job(
            dataset=str(self.dataset.location.resolve()),
            sha256=self.dataset.sha256,
            store=str(self.store.folder.resolve()),
            model=asked.model,
            seed=asked.seed,
            full=full,
            reads_test=False,
            overrides=overrides,
            keep_model=False,
            folds=self.folds,
        )
        return job, replace(asked, folds=self.folds)

    def correct(self, run: Run) -> NDArray[np.bool_]:
        """Which of the images that choose a run has right, (n,) bool."""
        if run.out_of_fold is not None:
            return run.out_of_fold.correct
        if run.validation is None:
            raise StoreError(f"{run.folder} holds no validation predictions.")
        return run.validation.among(self._choose).correct

    @cached_property
    def _choose(self) -> NDArray[np.int64]:
        return validation_split(self.dataset.train.labels).choose

    def rows(self) -> list[Trial]:
        """Every trial so far."""
        return [self._row(number, trial) for number, trial in enumerate(self.search.rows())]

    def overstatement(self) -> Overstatement | None:
        """By how much the best trial overstates itself, from all trials' predictions.

        None where there are none, or where some lie on another machine.
        """
        correct = []
        for trial in self.rows():
            if trial.status == "ok":
                try:
                    run = self._run(trial.run or "")
                    if run is None:
                        return None
                    correct.append(self.correct(run))
                except StoreError:  # as if it lay on another machine
                    return None
        return overstatement(np.stack(correct)) if correct else None

    def _run(self, folder: str) -> Run | None:
        model, _, name = folder.partition("/")
        key, _, seed = name.rpartition("-s")
        return self.store.get(model, key, int(seed)) if seed.isdecimal() else None

    def _row(self, number: int, trial: FrozenTrial) -> Trial:
        facts = trial.user_attrs
        statuses = {
            TrialState.COMPLETE: "ok",
            TrialState.PRUNED: "pruned",
            TrialState.RUNNING: "running",
            TrialState.WAITING: "waiting",
            TrialState.FAIL: facts.get("status", "failed"),
        }
        return Trial(
            number=number,
            status=statuses[trial.state],
            settings=self.search.settings(trial),
            accuracy=trial.value if trial.state == TrialState.COMPLETE else None,
            fit_seconds=facts.get("fit_seconds"),
            kept_epoch=facts.get("kept_epoch"),
            reason=facts.get("reason"),
            run=facts.get("run"),
        )


def attempt_all(
    campaign: Campaign, placement: Placement, next_trial: Callable[[], HeldTrial | None]
) -> None:
    """Fit trials, unless their runs are saved, and record how each ended.

    Parameters
    ----------
    campaign : what they have in common
    placement : fits them
    next_trial : gives a trial to be fitted whenever there is room for one, None when that is all
    """
    under_way: dict[int, _Attempt] = {}

    def jobs() -> Iterator[Job]:
        while (held := next_trial()) is not None:
            attempt = _Attempt(campaign, held, placement.at_once)
            try:
                job = attempt.begin()
            except BaseException as error:
                attempt.close(error)
                raise
            if job is not None:
                under_way[id(job)] = attempt
                yield job

    def on_event(job: Job, event: Mapping[str, Any]) -> bool:
        return event["event"] == "epoch" and under_way[id(job)].epoch(event)

    try:
        for job, outcome in placement.run(jobs(), on_event):
            under_way[id(job)].end(outcome)
            del under_way[id(job)]
    except BaseException as error:
        for attempt in under_way.values():
            attempt.close(error)
        raise


class _Attempt:
    """One trial, which is held from the beginning to the end."""

    def __init__(self, campaign: Campaign, held: HeldTrial, at_once: int) -> None:
        self._campaign, self._held = campaign, held
        self._progress, self._began = _Telling(campaign, held, at_once), time.monotonic()
        self._pruned: str | None = None
        self._holding = campaign.search.holding(held)
        self._holding.__enter__()

    def close(self, error: BaseException | None = None) -> None:
        """Hold it no more; put it back where an error ended it."""
        with contextlib.suppress(StoreError):  # then its silence tells others
            self._holding.__exit__(type(error) if error else None, error, None)

    def begin(self) -> Job | None:
        """What is to be fitted; None where that is known already, or makes no sense."""
        try:
            job, self._asked = self._campaign.job(self._held.settings)
        except UsageError as error:  # settings that contradict each other
            self._fail(str(error), status="failed", reason=str(error))
            return None
        try:
            if self._campaign.store.find(self._asked) is not None:
                self._finish()
                return None
        except StoreError as error:  # a saved run that can't be read
            self._fail(str(error), status="failed", reason=str(error))
            return None
        self._progress.started()
        return job

    def epoch(self, event: Mapping[str, Any]) -> bool:
        """Tell of an epoch; whether the trial is to be broken off."""
        self._progress.epoch(event)
        accuracy, number = event["validation_accuracy"], event["epoch"]
        if (
            self._campaign.prune
            and self._pruned is None  # else it is being ended, and told of an epoch meanwhile
            and accuracy is not None
            and self._campaign.search.report(self._held, number, accuracy)
        ):
            self._pruned = f"worse than the median after {event.get('unit', 'epoch')} {number}"
        return self._pruned is not None

    def end(self, outcome: Outcome) -> None:
        """Record how the fit ended.

        Raises
        ------
        TrainingError : what ended it is no fault of the settings, so that others would fare alike
        """
        spent = time.monotonic() - self._began
        if outcome == ENDED and self._pruned is not None:
            self._campaign.store.checkpoint_path(self._asked).unlink(missing_ok=True)
            self._campaign.store.remove_folds(self._asked)
            self._campaign.search.prune(self._held, reason=self._pruned, fit_seconds=spent)
            self._progress.failed(f"broken off, {self._pruned}")
            self.close()
        elif outcome.status == "interrupted":
            number = self._held.number
            raise TrainingError(f"trial {number} is put back; it was not fitted: {outcome.reason}")
        elif outcome.status != "ok":
            reason = outcome.reason
            self._fail(reason, status=outcome.status, reason=reason, fit_seconds=spent)
        else:
            self._finish()

    def _fail(self, told: str | None, **facts: Any) -> None:
        self._campaign.search.fail(self._held, **facts)
        self._progress.failed(told)
        self.close()

    def _finish(self) -> None:
        run = self._campaign.store.find(self._asked)
        if run is None:
            folder = self._campaign.store.folder
            raise StoreError(f"the run of a trial is not in {folder}; was it deleted?")
        accuracy = float(self._campaign.correct(run).mean())
        self._campaign.search.finish(
            self._held,
            accuracy,
            run=f"{self._asked.model}/{self._asked.folder_name}",
            fit_seconds=run.record.fit_seconds,
            kept_epoch=run.record.kept_epoch,
        )
        self._progress.saved(accuracy)
        self.close()


class _Telling:
    """Tells of one trial."""

    def __init__(self, campaign: Campaign, held: HeldTrial, at_once: int) -> None:
        self._campaign = campaign
        model = held.settings.get("model", campaign.model)
        self._step = Progress(
            kind="started",
            model=f"{model} trial {held.number}",
            seed=campaign.seed,
            done=self._done(),
            total=campaign.asked,
            at_once=at_once,
        )

    def started(self) -> None:
        self._campaign.tell(self._step)

    def epoch(self, event: Mapping[str, Any]) -> None:
        self._campaign.tell(replace(self._step, kind="epoch", detail=event))

    def failed(self, reason: str | None) -> None:
        detail = {"reason": reason}
        self._campaign.tell(replace(self._step, kind="failed", done=self._done(), detail=detail))

    def saved(self, accuracy: float) -> None:
        rows = [trial.accuracy for trial in self._campaign.rows() if trial.accuracy is not None]
        note = f"{accuracy:.4f}, best {max([*rows, accuracy]):.4f}"
        self._campaign.tell(replace(self._step, kind="saved", done=self._done(), note=note))

    def _done(self) -> int:
        return sum(trial.over for trial in self._campaign.rows())
