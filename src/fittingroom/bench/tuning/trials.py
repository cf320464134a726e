"""The trials of a search: their settings as specs, and how their fits ended."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from fittingroom.bench.bench import Bench
from fittingroom.bench.progress import OnProgress, Reporter
from fittingroom.bench.tuning.search import OwnedTrial, Search
from fittingroom.bench.tuning.tuning import Trial
from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError, TrainingError, UsageError
from fittingroom.evaluation.overstatement import Overstatement, overstatement
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec, spec_of
from fittingroom.runs.store import Store


class Trials:
    """The trials of a search.

    Parameters
    ----------
    search : hands out trials and stores how they ended
    dataset, store : the data, and where the runs go
    model : of trials whose settings don't name one
    n_trials : total number of trials of the search
    folds : of a cross-validation that scores trials; 0 scores them on the selection half
    seed : of every fit
    """

    def __init__(
        self,
        search: Search,
        dataset: Dataset,
        store: Store,
        *,
        model: str,
        n_trials: int,
        folds: int,
        seed: int,
    ) -> None:
        self.search, self._dataset, self.store = search, dataset, store
        self._model, self.n_trials, self._folds, self._seed = model, n_trials, folds, seed
        self._selection = dataset.validation_split().selection

    def fit(
        self,
        bench: Bench,
        next_trial: Callable[[], OwnedTrial | None],
        *,
        prune: bool,
        on_progress: OnProgress | None,
    ) -> None:
        """Fit trials, unless their runs are saved, and record how each ended.

        Parameters
        ----------
        bench : fits them
        next_trial : called for a trial whenever there is room for one; None ends the search
        prune : whether to stop trials that are worse than the median

        Raises
        ------
        TrainingError : a fit failed for a reason other than its settings, so others would fail too
        """
        _TrialFitting(self, bench, prune, on_progress).fit(next_trial)

    def spec(self, settings: Mapping[str, Any]) -> RunSpec:
        """The spec of a trial. Raises UsageError if the settings contradict each other."""
        model_settings = dict(settings)
        model = model_settings.pop("model", self._model)
        return spec_of(
            self._dataset,
            model,
            settings=model_settings,
            seed=self._seed,
            reads_test=False,
            folds=self._folds,
        )

    def name(self, trial: OwnedTrial) -> str:
        """A trial's name on the display."""
        return f"{trial.settings.get('model', self._model)} trial {trial.number}"

    def correct(self, run: Run) -> NDArray[np.bool_]:
        """Which images of the selection half, or out of fold, a run has right, (n,) bool."""
        if run.out_of_fold is not None:
            return run.out_of_fold.correct
        if run.validation is None:
            raise StoreError(f"{run.folder} holds no validation predictions.")
        return run.validation.among(self._selection).correct

    def rows(self) -> list[Trial]:
        """Every trial so far."""
        return [self._row(number, trial) for number, trial in enumerate(self.search.rows())]

    @property
    def n_ended(self) -> int:
        """Number of trials that have ended, those of other processes included."""
        return sum(trial.ended for trial in self.rows())

    def overstatement(self) -> Overstatement | None:
        """By how much the best trial's accuracy is overstated, from all trials' predictions.

        None if there are none, or if some are on another machine.
        """
        correct = []
        for trial in self.rows():
            if trial.status == "ok":
                try:
                    run = self._run(trial.run or "")
                    if run is None:
                        return None
                    correct.append(self.correct(run))
                except StoreError:  # as if it were on another machine
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


class _TrialFitting:
    """The running trials of this process; a `Watcher` of their fits."""

    def __init__(
        self, trials: Trials, bench: Bench, prune: bool, on_progress: OnProgress | None
    ) -> None:
        self._trials, self._bench, self._prune = trials, bench, prune
        # Two trials may have the same settings.
        self._running: dict[RunSpec, list[_RunningTrial]] = {}
        self._reporter = Reporter(
            on_progress,
            total=trials.n_trials,
            at_once=lambda: bench.executor.at_once,
            name=lambda spec: trials.name(self._running[spec][0].trial),
        )

    def fit(self, next_trial: Callable[[], OwnedTrial | None]) -> None:
        try:
            for attempt in self._bench.attempts(self._specs(next_trial), self):
                self._record_end(attempt)
        except BaseException as error:
            for trial in [trial for trials in self._running.values() for trial in trials]:
                trial.close(error)
            raise

    def started(self, spec: RunSpec) -> None:
        self._reporter.done = self._trials.n_ended
        self._reporter.started(spec)

    def stepped(self, spec: RunSpec, step: FitStep) -> bool:
        """Report an epoch or fold. Returns whether to prune its trials."""
        self._reporter.stepped(spec, step)
        if not self._prune or step.accuracy is None:
            return False
        trials = self._running[spec]
        worse = [trial.is_worse(step.done, step.accuracy) for trial in trials]  # records each
        if any(worse):
            for trial in trials:
                trial.pruned = f"worse than the median after {step.unit} {step.done}"
            return True
        return False

    def _specs(self, next_trial: Callable[[], OwnedTrial | None]) -> Iterator[RunSpec]:
        while (trial := next_trial()) is not None:
            running = _RunningTrial(self._trials.search, trial)
            try:
                spec = self._trials.spec(trial.settings)
            except UsageError as error:  # settings that contradict each other
                running.fail("failed", str(error))
                self._reporter.done = self._trials.n_ended - 1
                self._reporter.skipped(self._trials.name(trial), 1, reason=str(error))
                continue
            except BaseException as error:
                running.close(error)
                raise
            self._running.setdefault(spec, []).append(running)
            yield spec

    def _record_end(self, attempt: Attempt) -> None:
        """Record how a fit ended, then report it."""
        running, note, reason = self._running[attempt.spec][0], "", attempt.reason
        if attempt.run is not None:
            note = self._finish(running, attempt.run)
        elif attempt.status == "stopped":
            reason = f"pruned, {running.pruned}"
            self._bench.store.forget(attempt.spec)
            running.prune()
        elif attempt.status == "interrupted":
            number = running.trial.number
            raise TrainingError(f"trial {number} wasn't fitted and will be retried: {reason}")
        else:
            unreadable = attempt.status == "unreadable"
            spent = None if unreadable else running.seconds
            running.fail("failed" if unreadable else attempt.status, reason, spent)
        self._reporter.done = self._trials.n_ended - 1
        self._reporter.ended(attempt, reason=reason, note=note)
        self._running[attempt.spec].pop(0)

    def _finish(self, running: _RunningTrial, run: Run) -> str:
        """Record a trial's accuracy. Returns a note for the display."""
        accuracy = float(self._trials.correct(run).mean())
        running.finish(accuracy, run)
        accuracies = [row.accuracy for row in self._trials.rows() if row.accuracy is not None]
        return f"{accuracy:.4f}, best {max([*accuracies, accuracy]):.4f}"


class _RunningTrial:
    """A trial that this process owns until its fit has ended."""

    def __init__(self, search: Search, trial: OwnedTrial) -> None:
        self._search, self.trial = search, trial
        self.pruned: str | None = None
        self._began = time.monotonic()
        self._holding = search.holding(trial)
        self._holding.__enter__()

    def close(self, error: BaseException | None = None) -> None:
        """Release the trial; put it back if an error ended it."""
        with contextlib.suppress(StoreError):  # then its missing heartbeats tell others
            self._holding.__exit__(type(error) if error else None, error, None)

    def finish(self, accuracy: float, run: Run) -> None:
        self._search.finish(
            self.trial,
            accuracy,
            run=run.record.spec.path,
            fit_seconds=run.record.fit_seconds,
            kept_epoch=run.record.kept_epoch,
        )
        self.close()

    def is_worse(self, step: int, accuracy: float) -> bool:
        """Record the accuracy after an epoch or fold. Returns whether it is below the median."""
        return self._search.report(self.trial, step, accuracy)

    def prune(self) -> None:
        self._search.prune(self.trial, reason=self.pruned, fit_seconds=self.seconds)
        self.close()

    def fail(self, status: str, reason: str | None, fit_seconds: float | None = None) -> None:
        self._search.fail(self.trial, status=status, reason=reason, fit_seconds=fit_seconds)
        self.close()

    @property
    def seconds(self) -> float:
        """Since it was handed out."""
        return time.monotonic() - self._began
