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
from fittingroom.bench.tuning.search import HeldTrial, Search
from fittingroom.bench.tuning.tuning import Trial
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
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
    search : who gives out trials, and remembers them
    dataset, store : what they learn, and where their runs go
    model : of each trial whose settings don't name one
    n_trials : of how many the search is to consist
    folds : of a cross-validation that chooses; 0 where the selection half does
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
        self._selection = validation_split(dataset.train.labels).selection

    def fit(
        self,
        bench: Bench,
        next_trial: Callable[[], HeldTrial | None],
        *,
        prune: bool,
        on_progress: OnProgress | None,
    ) -> None:
        """Fit trials, unless their runs are saved, and record how each ended.

        Parameters
        ----------
        bench : fits them
        next_trial : gives a trial to be fitted whenever there is room for one, None when that is
            all
        prune : whether a trial is stopped that is worse than the median

        Raises
        ------
        TrainingError : what ended a fit isn't the fault of the settings, so others would fail alike
        """
        _TrialFitting(self, bench, prune, on_progress).fit(next_trial)

    def spec(self, settings: Mapping[str, Any]) -> RunSpec:
        """What a trial fits. Raises UsageError where the settings contradict each other."""
        own = dict(settings)
        model = own.pop("model", self._model)
        return spec_of(
            self._dataset,
            model,
            settings=own,
            seed=self._seed,
            reads_test=False,
            folds=self._folds,
        )

    def name(self, trial: HeldTrial) -> str:
        """What a display calls a trial."""
        return f"{trial.settings.get('model', self._model)} trial {trial.number}"

    def correct(self, run: Run) -> NDArray[np.bool_]:
        """Which images of the selection half a run has right, (n,) bool."""
        if run.out_of_fold is not None:
            return run.out_of_fold.correct
        if run.validation is None:
            raise StoreError(f"{run.folder} holds no validation predictions.")
        return run.validation.among(self._selection).correct

    def rows(self) -> list[Trial]:
        """Every trial so far."""
        return [self._row(number, trial) for number, trial in enumerate(self.search.rows())]

    @property
    def n_over(self) -> int:
        """How many trials are over, other processes' included."""
        return sum(trial.over for trial in self.rows())

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


class _TrialFitting:
    """The trials that are under way in this process; follows their fits as a `Watcher`."""

    def __init__(
        self, trials: Trials, bench: Bench, prune: bool, on_progress: OnProgress | None
    ) -> None:
        self._trials, self._bench, self._prune = trials, bench, prune
        self._held: dict[RunSpec, list[_Held]] = {}  # two trials may have the same settings
        self._reporter = Reporter(
            on_progress,
            total=trials.n_trials,
            at_once=lambda: bench.executor.at_once,
            name=lambda spec: trials.name(self._held[spec][0].trial),
        )

    def fit(self, next_trial: Callable[[], HeldTrial | None]) -> None:
        try:
            for attempt in self._bench.attempts(self._specs(next_trial), self):
                self._ended(attempt)
        except BaseException as error:
            for held in [each for trials in self._held.values() for each in trials]:
                held.close(error)
            raise

    def started(self, spec: RunSpec) -> None:
        self._reporter.done = self._trials.n_over
        self._reporter.started(spec)

    def stepped(self, spec: RunSpec, step: FitStep) -> bool:
        """Report an epoch or fold; whether it was worse than the median there."""
        self._reporter.stepped(spec, step)
        if not self._prune or step.accuracy is None:
            return False
        trials = self._held[spec]
        worse = [held.is_worse(step.done, step.accuracy) for held in trials]  # each is noted
        if any(worse):
            for held in trials:
                held.pruned = f"worse than the median after {step.unit} {step.done}"
            return True
        return False

    def _specs(self, next_trial: Callable[[], HeldTrial | None]) -> Iterator[RunSpec]:
        while (trial := next_trial()) is not None:
            held = _Held(self._trials.search, trial)
            try:
                spec = self._trials.spec(trial.settings)
            except UsageError as error:  # settings that contradict each other
                held.fail("failed", str(error))
                self._reporter.done = self._trials.n_over - 1
                self._reporter.skipped(self._trials.name(trial), 1, reason=str(error))
                continue
            except BaseException as error:
                held.close(error)
                raise
            self._held.setdefault(spec, []).append(held)
            yield spec

    def _ended(self, attempt: Attempt) -> None:
        """Record how a fit ended, then report it."""
        held, note, reason = self._held[attempt.spec][0], "", attempt.reason
        if attempt.run is not None:
            note = self._finish(held, attempt.run)
        elif attempt.status == "stopped":
            reason = f"pruned, {held.pruned}"
            self._bench.store.forget(attempt.spec)
            held.prune()
        elif attempt.status == "interrupted":
            number = held.trial.number
            raise TrainingError(f"trial {number} is put back; it was not fitted: {reason}")
        else:
            unreadable = attempt.status == "unreadable"
            spent = None if unreadable else held.seconds
            held.fail("failed" if unreadable else attempt.status, reason, spent)
        self._reporter.done = self._trials.n_over - 1
        self._reporter.ended(attempt, reason=reason, note=note)
        self._held[attempt.spec].pop(0)

    def _finish(self, held: _Held, run: Run) -> str:
        """Record the accuracy of a trial; what is said of it."""
        accuracy = float(self._trials.correct(run).mean())
        held.finish(accuracy, run)
        others = [row.accuracy for row in self._trials.rows() if row.accuracy is not None]
        return f"{accuracy:.4f}, best {max([*others, accuracy]):.4f}"


class _Held:
    """A trial that is this process's own until its fit has ended."""

    def __init__(self, search: Search, trial: HeldTrial) -> None:
        self._search, self.trial = search, trial
        self.pruned: str | None = None
        self._began = time.monotonic()
        self._holding = search.holding(trial)
        self._holding.__enter__()

    def close(self, error: BaseException | None = None) -> None:
        """Hold it no more; put it back where an error ended it."""
        with contextlib.suppress(StoreError):  # then its silence tells others
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
        """Note how good it is after an epoch or fold; whether that is worse than the median."""
        return self._search.report(self.trial, step, accuracy)

    def prune(self) -> None:
        self._search.prune(self.trial, reason=self.pruned, fit_seconds=self.seconds)
        self.close()

    def fail(self, status: str, reason: str | None, fit_seconds: float | None = None) -> None:
        self._search.fail(self.trial, status=status, reason=reason, fit_seconds=fit_seconds)
        self.close()

    @property
    def seconds(self) -> float:
        """Since it was given out."""
        return time.monotonic() - self._began
