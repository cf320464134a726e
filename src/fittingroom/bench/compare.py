"""Fit what is missing, then compare: the whole of `fittingroom compare`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, clone
from torch import nn

from fittingroom.bench.comparison import Comparison, Entry
from fittingroom.bench.executor import Job, Limits, Outcome, Worker
from fittingroom.bench.leaderboard import Leaderboard, leaderboard
from fittingroom.bench.progress import OnProgress, Progress
from fittingroom.bench.worker import one_line
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import FittingroomError, NotFiniteError, UsageError
from fittingroom.models.catalog import (
    ALIASES,
    BASELINES,
    MODELS,
    make_classifier,
    names_of,
    row_of,
)
from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.asked import Asked, asked_of
from fittingroom.runs.fit import fit_run
from fittingroom.runs.run import Run, label
from fittingroom.runs.store import Store, check_model_name, open_store

KeepModels = Literal["all", "best", "none"]


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A model that takes part: a row of the catalogue, or an estimator of the caller's own.

    `overrides` replace parameters of the row.
    """

    name: str
    own: BaseEstimator | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in the table."""
        return label(self.name, self.overrides)

    @property
    def deterministic(self) -> bool:
        if self.own is None:
            return row_of(self.name).deterministic
        return not _random_states(self.own)

    @property
    def seconds(self) -> float | None:
        """Expected seconds of one fit on the catalogue's reference machine, None if unknown."""
        if self.own is not None or self.overrides:
            return None
        return row_of(self.name).expected_seconds()

    def classifier(self, dataset: Dataset, seed: int) -> BaseEstimator:
        if self.own is None:
            return make_classifier(self.name, dataset=dataset, random_state=seed, **self.overrides)
        own = clone(self.own).set_params(**dict.fromkeys(_random_states(self.own), seed))
        if isinstance(own, NetworkClassifier):
            own.set_params(
                image_shape=dataset.image_shape, mirror_keeps_class=dataset.mirror_keeps_class
            )
        return own

    def asked(self, dataset: Dataset, seed: int, full: bool) -> Asked:
        classifier = self.classifier(dataset, seed)
        return asked_of(classifier, self.name, dataset, full=full, reads_test=True, seed=seed)


def compare(
    dataset: Dataset | str | Path,
    models: Sequence[str | Entrant] | Mapping[str, Any] | str = "quick",
    *,
    seeds: int = 3,
    full: bool = False,
    runs: Path | str = "runs",
    time_limit: float | None = None,
    memory_limit: int | None = None,
    keep_models: KeepModels = "best",
    command: str | None = None,
    on_progress: OnProgress | None = None,
) -> Leaderboard:
    """Fit every model with every seed, unless its run is saved, and rank them.

    Models of the catalogue are fitted in a child process, so that a crash, a limit or a NaN
    becomes a row with its reason while the others finish. Estimators of your own are fitted in
    this process: their errors become rows too, but limits and crashes are not contained.

    Parameters
    ----------
    dataset
        A data set, a name of the catalogue, or a folder.
    models
        Names of the catalogue or rows of it with other parameters (:class:`Entrant`); the name
        of a suite; or your own by name: a scikit-learn
        classifier that takes (n, height * width) pixels in 0..255, a `torch.nn.Module` that takes
        (batch, 1, height, width) floats in 0..1 and gives logits, or a name of the catalogue.
    seeds
        Fits of each model with seeds 0, 1, ...; a deterministic model is fitted once.
    full
        Train on the whole training split; choices come from a twin that is fitted without the
        validation part.
    runs
        The folder of saved runs.
    time_limit
        Seconds for one fit with its predictions. A model that is expected to take longer is not
        started.
    memory_limit
        Bytes resident in the fitting process and its children.
    keep_models
        Which fitted models stay on disk: `all`, of each model the seed that is `best` on the
        `choose` part, or `none`.
    command
        The command to quote as the way to reproduce this.
    on_progress
        Called as the work goes on.

    Raises
    ------
    UnknownNameError, UsageError
        When a name or number makes no sense.
    DataError, StoreError
        When the data can't be loaded or the runs folder can't be written.
    """
    if seeds < 1:
        raise UsageError(f"seeds is {seeds}; at least 1 is needed.")
    dataset = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    entrants = entrants_of(models)
    store = open_store(runs, dataset)
    plan = _Plan(dataset, store, entrants, seeds, full, on_progress or (lambda _: None))
    plan.save(command)
    limits = Limits(seconds=time_limit, memory=memory_limit)
    with located(dataset) as location:
        for position, entrant in enumerate(entrants):
            entry = plan.entries[position]
            plan.entries[position] = _fit_entrant(
                plan, entrant, entry, location, limits, keep_models
            )
            plan.save(command)
    if keep_models == "best":
        _keep_best(store, plan.entries, validation_split(dataset.train.labels).choose)
    return leaderboard(store)


class _Plan:
    """The runs to be made, and what became of them so far."""

    def __init__(
        self,
        dataset: Dataset,
        store: Store,
        entrants: Sequence[Entrant],
        seeds: int,
        full: bool,
        on_progress: OnProgress,
    ) -> None:
        self.dataset, self.store, self.full, self._tell = dataset, store, full, on_progress
        train = dataset.train.labels
        trained_on = len(train) if full else len(validation_split(train).train)
        self.entries = [
            Entry.of(
                entrant.asked(dataset, 0, full),
                label=entrant.label,
                seeds=(0,) if entrant.deterministic else tuple(range(seeds)),
                deterministic=entrant.deterministic,
                trained_on=trained_on,
            )
            for entrant in entrants
        ]
        self.done, self.total = 0, sum(len(entry.seeds) for entry in self.entries)

    def save(self, command: str | None) -> None:
        Comparison(entries=tuple(self.entries), command=command).save(self.store)

    def tell(self, kind: Any, entrant: Entrant, seed: int, **detail: Any) -> None:
        self._tell(
            Progress(
                kind=kind,
                model=entrant.label,
                seed=seed,
                done=self.done,
                total=self.total,
                expected=entrant.seconds,
                detail=detail,
            )
        )


def _fit_entrant(
    plan: _Plan,
    entrant: Entrant,
    entry: Entry,
    location: Path,
    limits: Limits,
    keep_models: KeepModels,
) -> Entry:
    """Fit the seeds of one model that are not saved yet; stop at the first that fails."""
    expected, limit = entrant.seconds, limits.seconds
    with Worker(limits) as worker:
        for number, seed in enumerate(entry.seeds):
            if plan.store.get(entry.model, entry.key, seed) is None:
                if expected is not None and limit is not None and expected > limit:
                    outcome = Outcome(status="timeout", reason=_too_long(expected, limit))
                else:
                    plan.tell("started", entrant, seed)
                    outcome = _fit(plan, entrant, seed, location, worker, keep_models != "none")
                if outcome.status != "ok":
                    plan.done += len(entry.seeds) - number
                    reason = outcome.reason
                    if len(entry.seeds) > 1 and number:
                        reason = f"seed {seed}: {reason}"
                    plan.tell("failed", entrant, seed, reason=reason)
                    return entry.ended(outcome.status, reason)
            plan.done += 1
            plan.tell("saved", entrant, seed)
    return entry.ended("ok")


def _fit(
    plan: _Plan, entrant: Entrant, seed: int, location: Path, worker: Worker, keep_model: bool
) -> Outcome:
    def on_epoch(event: Mapping[str, Any]) -> None:
        plan.tell("epoch", entrant, seed, **event)

    if entrant.own is not None:
        return _fit_own(plan, entrant, seed, on_epoch)
    job = Job(
        dataset=str(location.resolve()),
        sha256=plan.dataset.sha256,
        store=str(plan.store.folder.resolve()),
        model=entrant.name,
        seed=seed,
        full=plan.full,
        overrides=dict(entrant.overrides),
        keep_model=keep_model,
    )
    return worker.run(job, on_epoch)


def _fit_own(plan: _Plan, entrant: Entrant, seed: int, on_epoch: Callable[..., None]) -> Outcome:
    """Fit an estimator that exists in this process alone; it is not saved, only its predictions."""
    try:
        fit_run(
            plan.store,
            plan.dataset,
            entrant.classifier(plan.dataset, seed),
            entrant.asked(plan.dataset, seed, plan.full),
            family="own",
            deterministic=entrant.deterministic,
            keep_model=False,
            on_epoch=lambda epoch, epochs: on_epoch({"epochs": epochs, **vars(epoch)}),
        )
    except NotFiniteError as error:
        return Outcome(status="nan", reason=str(error))
    except FittingroomError as error:
        return Outcome(status="failed", reason=str(error))
    except MemoryError as error:
        return Outcome(status="out-of-memory", reason=one_line(error))
    except Exception as error:  # whatever a stranger's estimator raises is its row's reason
        return Outcome(status="failed", reason=one_line(error))
    return Outcome(status="ok")


def entrants_of(models: Sequence[str | Entrant] | Mapping[str, Any] | str) -> list[Entrant]:
    """Who takes part; `models` as in :func:`compare`.

    Raises
    ------
    UnknownNameError, UsageError
        When a name is unknown or a model is none.
    """
    if isinstance(models, Mapping) and models:
        return [_entrant(name, model) for name, model in models.items()]
    if isinstance(models, str) or not models:
        return [Entrant(name=name) for name in names_of(models if isinstance(models, str) else [])]
    named = [m if isinstance(m, Entrant) else Entrant(name=row_of(m).name) for m in models]
    return [*{entrant.label: entrant for entrant in named}.values()]


def _entrant(name: str, model: Any) -> Entrant:
    if model is None or isinstance(model, str):
        return Entrant(name=row_of(model or name).name)
    check_model_name(name)
    if isinstance(model, nn.Module):
        model = NetworkClassifier(model)
    if not isinstance(model, BaseEstimator) or not hasattr(model, "fit"):
        raise UsageError(
            f"{name!r} is a {type(model).__name__}; give a scikit-learn classifier, a torch "
            "module or a name of the catalogue."
        )
    if name in (*MODELS, *ALIASES, *BASELINES):
        raise UsageError(f"{name!r} is a model of the catalogue; give yours another name.")
    return Entrant(name=name, own=model)


def _random_states(estimator: BaseEstimator) -> list[str]:
    """The parameters that hold a seed, nested ones too."""
    return [p for p in estimator.get_params() if p.split("__")[-1] == "random_state"]


def _too_long(expected: float, limit: float) -> str:
    return (
        f"left out: expected to take about {expected / 60:.0f} minutes here, "
        f"more than the limit of {limit / 60:g}"
    )


@contextmanager
def located(dataset: Dataset) -> Iterator[Path]:
    """A folder that a child process reads the data set from: its own, or one for the time being."""
    if dataset.location is not None:
        yield dataset.location
        return
    with TemporaryDirectory(prefix="fittingroom-") as folder:
        dataset.write_idx(Path(folder))
        yield Path(folder)


def _keep_best(store: Store, entries: Sequence[Entry], choose: np.ndarray) -> None:
    """Of each model keep the saved weights of one seed: the best on `choose`, never on test."""

    def accuracy(run: Run) -> float:
        return 0.0 if run.validation is None else run.validation.accuracy_on(choose)

    for entry in entries:
        runs = [run for seed in entry.seeds if (run := store.get(entry.model, entry.key, seed))]
        for run in sorted(runs, key=accuracy, reverse=True)[1:]:
            store.drop_model(run)
