"""One trial of a search: its settings fitted in a child process, and how that ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from fittingroom.bench.executor import Job, Worker
from fittingroom.bench.progress import OnProgress, Progress
from fittingroom.bench.search import Claim, Search
from fittingroom.bench.tuning import Trial
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import StoreError, UsageError
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
        part, choose = run.validation, validation_split(self.dataset.train.labels).choose
        if part is None:
            raise StoreError(f"{run.folder} holds no validation predictions; remove it.")
        right: NDArray[np.bool_] = part.correct[np.isin(part.index, choose)]
        return right

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
                run = self._run(trial.run or "")
                if run is None:
                    return None
                correct.append(self.correct(run))
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


class _Pruned(Exception):
    """Not an error: ends a fit from within the callback that is told of its epochs."""


def attempt(campaign: Campaign, claim: Claim, worker: Worker) -> None:
    """Fit a trial, unless its run is saved, and record how it ended."""
    search, began = campaign.search, time.monotonic()
    progress = _Telling(campaign, claim)
    try:
        job, asked = campaign.job(claim.settings)
    except UsageError as error:  # settings that contradict each other
        search.fail(claim, status="failed", reason=str(error))
        progress.failed(str(error))
        return

    def on_epoch(event: Mapping[str, Any]) -> None:
        progress.epoch(event)
        accuracy = event["validation_accuracy"]
        if (
            campaign.prune
            and accuracy is not None
            and search.report(claim, event["epoch"], accuracy)
        ):
            unit = event.get("unit", "epoch")
            raise _Pruned(f"worse than the median after {unit} {event['epoch']}")

    if campaign.store.find(asked) is None:
        progress.started()
        try:
            outcome = worker.run(job, on_epoch)
        except _Pruned as pruned:
            worker.stop()
            campaign.store.checkpoint_path(asked).unlink(missing_ok=True)
            campaign.store.remove_folds(asked)
            search.prune(claim, reason=str(pruned), fit_seconds=time.monotonic() - began)
            progress.failed(f"broken off, {pruned}")
            return
        if outcome.status != "ok":
            spent = time.monotonic() - began
            facts = {"status": outcome.status, "reason": outcome.reason, "fit_seconds": spent}
            search.fail(claim, **facts)
            progress.failed(outcome.reason)
            return
    run = campaign.store.find(asked)
    if run is None:
        raise StoreError(f"the run of a trial is not in {campaign.store.folder}; was it deleted?")
    accuracy = float(campaign.correct(run).mean())
    search.finish(
        claim,
        accuracy,
        run=f"{asked.model}/{asked.folder_name}",
        fit_seconds=run.record.fit_seconds,
        kept_epoch=run.record.kept_epoch,
    )
    progress.saved(accuracy)


class _Telling:
    """Tells of one trial."""

    def __init__(self, campaign: Campaign, claim: Claim) -> None:
        self._campaign = campaign
        model = claim.settings.get("model", campaign.model)
        self._step = Progress(
            kind="started",
            model=f"{model} trial {claim.number}",
            seed=campaign.seed,
            done=self._done(),
            total=campaign.asked,
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
