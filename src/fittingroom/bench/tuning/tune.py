"""Find better settings of a model: `fittingroom tune`.

Every trial is a run like any other, fitted in a child process and saved, but it never reads the
test split. Trials are selected on the selection half of the validation part, or by
cross-validation. The best settings are then fitted once more, and that run reads the test split.
"""

from __future__ import annotations

import hashlib
import json
import random
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fittingroom.bench.bench import open_bench
from fittingroom.bench.fit_one import fit_spec
from fittingroom.bench.progress import OnProgress
from fittingroom.bench.tuning.search import OwnedTrial, hide_password, open_search
from fittingroom.bench.tuning.space import Space, parse_space
from fittingroom.bench.tuning.trials import Trials
from fittingroom.bench.tuning.tuning import FOLDER, TestResult, Tuning
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.data.splits import fold_of
from fittingroom.errors import FittingroomError, UnknownNameError, UsageError
from fittingroom.evaluation.intervals import wilson
from fittingroom.execution.executor import HERE, parse_address
from fittingroom.execution.job import Limits
from fittingroom.models.catalog import row_of
from fittingroom.models.making import check_settings
from fittingroom.models.settings import text_of
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

_PROBES = 20  # random combinations that a setting is checked in before anything is fitted


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options of a search.

    Attributes
    ----------
    sampler : ``"tpe"`` (Bergstra et al. 2011), ``"random"`` or ``"grid"``
    trials : total number of trials, including those of earlier and other processes
    time_limit : seconds; no trial is started that is unlikely to end within them, the last fit
        included; running trials are not stopped
    prune : stop a trial whose best epoch (of a network) or fold so far is worse than the median of
        the finished trials at that step
    folds : of a cross-validation over the training split; 0 selects on the selection half
    seed : of the search and of every fit
    storage : URL of the database; None is a SQLite file beside the trials' runs
    refit : fit the best settings once more at the end; only this fit reads the test split
    """

    sampler: str = "tpe"
    trials: int = 50
    time_limit: float | None = None
    prune: bool = False
    folds: int = 0
    seed: int = 0
    storage: str | None = None
    refit: bool = True

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise UsageError(f"--trials is {self.trials}; at least 1 is needed.")


def tune(
    dataset: Dataset | str | Path,
    model: str,
    *,
    space: Space | None = None,
    memory_limit: int | None = None,
    runs: Path | str = "runs",
    on: str = HERE,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Tuning:
    """Search the settings of a catalogue model; a saved search is resumed.

    Parameters
    ----------
    dataset : a data set, a name of the catalogue, or a path
    model : a name of the catalogue
    space : what is searched; None is the model's default space
    memory_limit : resident bytes of a fitting process and its children
    runs : the folder of saved runs
    on : where all fits run, see :func:`.executor.open_executor`
    on_progress : called with each step
    options : the fields of :class:`SearchOptions`

    Returns
    -------
    Tuning
        The result so far, even if the user interrupted the search (`interrupted`).

    Raises
    ------
    UnknownNameError, UsageError
        When a name, a range or a number is invalid.
    DataError, StoreError, TrainingError
        When the data can't be loaded, something can't be written, or a fit failed for a reason
        other than its settings. If the last fit fails, the result is returned with the reason.
    """
    parse_address(on)
    model = row_of(model).name
    space = space or parse_space(row_of(model).space)
    search = SearchOptions(**options)
    check_space(model, space)
    loaded = load_dataset(dataset)
    if search.folds:
        fold_of(loaded.train.labels, search.folds)  # too many folds fail before any fit
    limits = Limits(memory=memory_limit)

    store = open_store(Path(runs) / FOLDER, loaded)
    url = search.storage or f"sqlite:///{(store.folder / 'studies.sqlite3').resolve()}"
    sampler, seed, folds = search.sampler, search.seed, search.folds
    study = study_name(loaded, model, space, sampler, seed, folds)
    with closing(
        open_search(url, study, space, sampler=sampler, seed=seed, prune=search.prune)
    ) as opened:
        n_trials = min(search.trials, opened.size)
        trials = Trials(
            *(opened, loaded, store), model=model, n_trials=n_trials, folds=folds, seed=seed
        )
        interrupted = _fit_trials(
            trials, loaded, search, on=on, limits=limits, on_progress=on_progress
        )
        tuning = Tuning(
            study=study,
            storage=hide_password(url),
            model=model,
            folds=folds,
            seed=seed,
            n_trials=n_trials,
            dataset=loaded.name if isinstance(dataset, Dataset) else str(dataset),
            dataset_title=store.card.title,
            dataset_sha256=loaded.sha256,
            space=space,
            sampler=sampler,
            trials=tuple(trials.rows()),
            overstatement=trials.overstatement(),
            importance=opened.importance(),
            interrupted=interrupted,
            runs=str(runs),
            folder=store.folder,
        )
    runs_elsewhere = any(trial.status == "running" for trial in tuning.trials)
    if not search.refit or interrupted or runs_elsewhere or tuning.best is None:
        return tuning
    return _with_test_result(tuning, loaded, on, limits, on_progress)


def _fit_trials(
    trials: Trials,
    dataset: Dataset,
    options: SearchOptions,
    *,
    on: str,
    limits: Limits,
    on_progress: OnProgress | None,
) -> bool:
    """Fit trials until there are enough or the time is up; whether the user interrupted."""
    next_trial = _trials_in_time(trials, options)
    try:
        with open_bench(dataset, trials.store, on=on, limits=limits, keep_models=False) as bench:
            trials.fit(bench, next_trial, prune=options.prune, on_progress=on_progress)
    except KeyboardInterrupt:
        return True
    return False


def study_name(
    dataset: Dataset, model: str, space: Space, sampler: str, seed: int, folds: int
) -> str:
    """The model and a hash of everything that determines a search's result."""
    identity = {
        "dataset": dataset.sha256,
        "space": space.to_dict(),
        "fixed": {name: text_of(value) for name, value in space.fixed.items()},
        "sampler": sampler,
        "seed": seed,
        "folds": folds,
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return f"{model}-{digest[:8]}"


def check_space(model: str, space: Space) -> None:
    """Raise if a space has a parameter that the model doesn't take, or a value that it never can.

    Where models are searched, each must take every value.

    Raises
    ------
    UnknownNameError, UsageError
    """
    searched = space.dimensions.get("model")
    models = [space.fixed.get("model", model)] if searched is None else searched.probes()
    for candidate in (row_of(str(name)).name for name in models):
        for name, value in [*space.fixed.items(), *space.probes()]:
            if name != "model":
                _check_setting(candidate, space, name, value)


def _check_setting(model: str, space: Space, name: str, value: Any) -> None:
    """Raise if a model takes a setting neither alone nor with other settings of the space."""
    rng = random.Random(0)
    error: UsageError | None = None
    for draw in range(_PROBES):
        # Alone first; some settings are valid only in combination with others.
        others = {n: rng.choice(d.probes()) for n, d in space.dimensions.items()}
        settings = {**space.fixed, **(others if draw else {}), name: value}
        settings.pop("model", None)
        try:
            check_settings(model, settings)
            return
        except UnknownNameError:
            raise
        except UsageError as invalid:
            error = invalid
    assert error is not None
    raise error


def _trials_in_time(trials: Trials, options: SearchOptions) -> Callable[[], OwnedTrial | None]:
    """A function that gives trials until there are enough or the time is up."""
    started = time.monotonic()
    # The trial itself and, perhaps, the last fit.
    n_fits, time_limit = 2 if options.refit else 1, options.time_limit

    def next_trial() -> OwnedTrial | None:
        if time_limit is not None:
            remaining = time_limit - (time.monotonic() - started)
            if remaining < n_fits * _usual_seconds(trials):
                return None
        return trials.search.ask(trials.n_trials)

    return next_trial


def _usual_seconds(trials: Trials) -> float:
    """Median seconds of the finished trials.

    0 before the first one: the catalogue's times are of other settings on another machine.
    """
    seconds = [trial.fit_seconds or 0.0 for trial in trials.rows() if trial.status == "ok"]
    return statistics.median(seconds) if seconds else 0.0


def _with_test_result(
    tuning: Tuning, dataset: Dataset, on: str, limits: Limits, on_progress: OnProgress | None
) -> Tuning:
    """Fit the best settings once more, without the validation part, and read the test split.

    A cross-validation's trials, in contrast, learned from folds of the whole training split.
    """
    model, settings = tuning.recipe()
    spec = spec_of(dataset, model, settings=settings, seed=tuning.seed)
    store = open_store(tuning.runs, dataset)
    try:
        run = fit_spec(spec, dataset, store, on=on, limits=limits, on_progress=on_progress)
    except FittingroomError as error:  # the search is worth showing all the same
        return replace(tuning, test_failure=str(error))
    except KeyboardInterrupt:
        return replace(tuning, interrupted=True)
    assert run.test is not None
    correct = run.test.correct
    result = TestResult(
        accuracy=float(correct.mean()),
        this_fit_ci95=wilson(int(correct.sum()), len(correct)).bounds,
        run=run.record.spec.path,
    )
    return replace(tuning, test=result)
