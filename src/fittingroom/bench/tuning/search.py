"""The trials of a search in a database, through Optuna.

Several processes, on one machine or on several, can share a database. A trial belongs to the
process that asked for it; if that dies, the trial is put back and goes to whoever asks next. What
a sampler suggests depends on the seed, the number of earlier trials and how they ended, but not on
which process asks: a search of one process that is interrupted and resumed has the same trials as
one that isn't.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from fittingroom.bench.tuning.owner import DATABASE_ERRORS, is_orphan, owner, signs_of_life
from fittingroom.bench.tuning.sampler import SeededSampler, first_number, is_surplus, seeded_sampler
from fittingroom.bench.tuning.space import Choice, Dimension, Space
from fittingroom.errors import StoreError, UsageError

#: Fewest trials that parameter importances are computed from: with fewer they mean nothing.
ENOUGH = 10
#: Seconds that a process waits for the lock of a SQLite file.
PATIENCE = 60
#: Seconds between attempts to open a database whose tables other processes are creating.
PAUSES = (0.1, 0.3, 1.0, 3.0)

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Search:
    """A study in a database, and the space that it searches; opened by :func:`open_search`."""

    def __init__(
        self,
        study: optuna.Study,
        storage: optuna.storages.RDBStorage,
        space: Space,
        sampler: SeededSampler,
        size: int,
    ) -> None:
        self.study, self.space, self.size = study, space, size
        self._storage = storage
        self._sampler = sampler
        self._distributions = {n: _distribution(d) for n, d in sorted(space.dimensions.items())}

    def close(self) -> None:
        """Close the connections to the database."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def rows(self) -> list[FrozenTrial]:
        """For each trial, in order, the attempt that ended for good, else the latest one."""
        attempts = self.study.get_trials(deepcopy=False)
        latest = {
            first_number(trial): trial
            for trial in sorted(attempts, key=_has_ended)
            if not is_surplus(trial)
        }
        return [latest[first] for first in sorted(latest)]

    def settings(self, trial: FrozenTrial) -> dict[str, Any] | None:
        """The settings of a trial, or None if they aren't sampled yet."""
        suggested = {**trial.params, **trial.system_attrs.get("fixed_params", {})}
        if set(suggested) != set(self.space.dimensions):
            return None
        return self.space.settings(suggested)

    def ask(self, trials: int) -> OwnedTrial | None:
        """Take the next trial, which then belongs to this process; None if there are enough.

        Parameters
        ----------
        trials : total number of trials of the search
        """
        trials = min(trials, self.size)
        with _translate_errors():
            self._put_back_orphans()
            rows = self.rows()
            waiting = any(row.state == TrialState.WAITING for row in rows)
            if len(rows) >= trials and not waiting:
                return None
            trial = self.study.ask(self._distributions)
            is_new = "first" not in trial.user_attrs
            exceeds_total = is_new and self._sampler.position >= trials
            if exceeds_total or self._is_duplicate(self._frozen(trial)):
                trial.set_user_attr("surplus", True)
                self.study.tell(trial, state=TrialState.FAIL)
                return self.ask(trials)
            trial.set_user_attr("owner", owner())
            return OwnedTrial(
                trial=trial,
                number=self._sampler.position,
                settings=self.space.settings(trial.params),
            )

    @contextmanager
    def holding(self, held: OwnedTrial) -> Iterator[None]:
        """Send heartbeats inside a `with`; put the trial back if an error ends it."""
        with signs_of_life(held.trial):
            try:
                yield
            except BaseException:
                with _translate_errors():
                    self._put_back(self._frozen(held.trial))
                raise

    def report(self, held: OwnedTrial, epoch: int, accuracy: float) -> bool:
        """Record a trial's accuracy after an epoch. Returns whether to prune the trial."""
        with _translate_errors(), contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an earlier attempt may have reported the epoch
                held.trial.report(accuracy, epoch)
            return bool(held.trial.should_prune())
        return False  # considered dead, see `_tell`: another process may use the checkpoint by now

    def importance(self) -> dict[str, float] | None:
        """Each parameter's share of the variance of the accuracies; the shares sum to one.

        By functional ANOVA of a random forest (Hutter, Hoos and Leyton-Brown 2014, "An efficient
        approach for assessing hyperparameter importance"). None if fewer than `ENOUGH` trials have
        an accuracy, or all have the same.
        """
        with _translate_errors():
            finished = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if len(finished) < ENOUGH:
                return None
            try:
                evaluator = FanovaImportanceEvaluator(seed=0)
                shares = get_param_importances(self.study, evaluator=evaluator)
                return {name: float(share) for name, share in shares.items()}
            except RuntimeError:  # no variance
                return None

    def finish(self, held: OwnedTrial, accuracy: float, **facts: Any) -> None:
        """Record a trial's final accuracy."""
        self._tell(held, TrialState.COMPLETE, accuracy, facts)

    def fail(self, held: OwnedTrial, **facts: Any) -> None:
        """Record that a trial failed; `facts` say why."""
        self._tell(held, TrialState.FAIL, None, facts)

    def prune(self, held: OwnedTrial, **facts: Any) -> None:
        """Record that a trial was pruned."""
        self._tell(held, TrialState.PRUNED, None, facts)

    def _tell(
        self, held: OwnedTrial, state: TrialState, value: float | None, facts: Mapping[str, Any]
    ) -> None:
        with _translate_errors(), contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
            # A process that slept so long that it was considered dead reports nothing; its run is
            # saved, and the trial's new owner finds it.
            for name, fact in facts.items():
                held.trial.set_user_attr(name, fact)
            self.study.tell(held.trial, value, state, skip_if_finished=True)

    def _frozen(self, trial: optuna.Trial) -> FrozenTrial:
        trials = self.study.get_trials(deepcopy=False)
        return next(other for other in trials if other.number == trial.number)

    def _is_duplicate(self, trial: FrozenTrial) -> bool:
        """Whether another attempt at this trial has ended for good, or is running.

        Processes that see the same orphan at the same time each put it back.
        """
        return any(
            _has_ended(other)
            or (
                other.state == TrialState.RUNNING
                and other.number < trial.number  # attempts are handed out in order
                and not is_orphan(other)
            )
            for other in self.study.get_trials(deepcopy=False)
            if first_number(other) == first_number(trial)
            and other.number != trial.number
            and not is_surplus(other)
        )

    def _put_back_orphans(self) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if is_orphan(trial):
                self._put_back(trial)

    def _put_back(self, trial: FrozenTrial) -> None:
        """Queue the same settings again, then end this attempt.

        In this order a kill in between leaves two attempts, never none; whoever gets the second
        one drops it, see `_is_duplicate`.
        """
        if trial.state in _FINISHED:
            return
        suggested = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        again = optuna.trial.create_trial(
            state=TrialState.WAITING,
            user_attrs={"first": first_number(trial)},
            system_attrs={"fixed_params": suggested},  # as `enqueue_trial` puts them
            # A network resumes from its checkpoint, and doesn't report earlier epochs again.
            intermediate_values=trial.intermediate_values,
        )
        self.study.add_trial(again)
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # others were faster
            self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


@dataclass(frozen=True, kw_only=True)
class OwnedTrial:
    """A trial that this process owns: its position in the search, and what to fit."""

    trial: optuna.Trial
    number: int
    settings: Mapping[str, Any]


def open_search(
    url: str, name: str, space: Space, *, sampler: str, seed: int, prune: bool = False
) -> Search:
    """Open a study in a database; create it if it doesn't exist.

    Parameters
    ----------
    url : of the database, in SQLAlchemy's form, such as ``sqlite:///studies.sqlite3``
    name : of the study
    space : what it searches
    sampler : ``"tpe"``, ``"random"`` or ``"grid"``
    seed : of the sampler
    prune : whether to prune a trial whose best accuracy so far is below the median of the
        finished trials at that epoch

    Raises
    ------
    UnknownNameError, UsageError : unknown sampler, infinite grid, or not the URL of a database
    StoreError : the database can't be reached or written
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    points = space.grid() if sampler == "grid" else None
    by_trial = seeded_sampler(sampler, seed, points)
    pruner = optuna.pruners.MedianPruner() if prune else optuna.pruners.NopPruner()
    with _lock_sqlite(url), _translate_errors(url):
        storage = _storage(url)
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            sampler=by_trial,
            pruner=pruner,
            direction="maximize",
            load_if_exists=True,
        )
    return Search(study, storage, space, by_trial, len(points) if points is not None else 10**9)


def hide_password(url: str) -> str:
    """The URL of a database without its password, which may also be in the query."""
    try:
        parsed = sqlalchemy.make_url(url)
        options = dict.fromkeys(parsed.query, "...")
        return parsed.set(query=options).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "the given URL"


def _has_ended(attempt: FrozenTrial) -> bool:
    """Whether an attempt is final; a failed one without a status was put back instead."""
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    return attempt.state in ended or "status" in attempt.user_attrs


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.texts)
    low, high, step = dimension.low, dimension.high, dimension.step
    if dimension.whole:
        return IntDistribution(int(low), int(high), log=dimension.log, step=int(step or 1))
    return FloatDistribution(float(low), float(high), log=dimension.log, step=step)


def _storage(url: str) -> optuna.storages.RDBStorage:
    options: dict[str, Any] = {"pool_pre_ping": True}  # connections may drop during a long fit
    if url.startswith("sqlite"):
        options["connect_args"] = {"timeout": PATIENCE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for pause in PAUSES:
            # Another process may create a table after this one looked for it.
            with contextlib.suppress(IntegrityError, ProgrammingError):
                return optuna.storages.RDBStorage(url, engine_kwargs=options)
            time.sleep(pause)
        return optuna.storages.RDBStorage(url, engine_kwargs=options)


@contextmanager
def _lock_sqlite(url: str) -> Iterator[None]:
    """Lock a SQLite file: creating its tables in two processes at the same time fails."""
    try:
        file = sqlalchemy.make_url(url)
    except SQLAlchemyError as error:
        raise UsageError(
            f"--storage must be the URL of a database, such as sqlite:///studies.sqlite3 or "
            f"postgresql://user@host/name: {error}"
        ) from error
    if file.get_backend_name() != "sqlite" or not file.database:
        yield
        return
    try:
        Path(file.database).parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file.database}.lock"):
            yield
    except OSError as error:
        raise StoreError(f"{file.database} can't be written: {error.strerror}.") from error


@contextmanager
def _translate_errors(url: str | None = None) -> Iterator[None]:
    """Turn an error of a database into one sentence."""
    where = "the search's database" if url is None else hide_password(url)
    try:
        yield
    except ImportError as error:
        missing = str(error.__cause__ or error).rstrip(".")
        raise UsageError(f"{where} can't be opened: {missing}; install it.") from error
    except DATABASE_ERRORS as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.OptunaError) else error
        reason = str(getattr(cause, "orig", None) or cause or error).strip().splitlines()[0]
        raise StoreError(f"{where} can't be used: {reason}") from error
