"""Fit missing runs, then compare: `fittingroom compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fittingroom.bench.bench import open_bench
from fittingroom.bench.comparison.comparison import Entry
from fittingroom.bench.comparison.entrant import Entrant, entrants_of
from fittingroom.bench.comparison.leaderboard import Leaderboard, leaderboard
from fittingroom.bench.comparison.schedule import Schedule
from fittingroom.bench.progress import OnProgress
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.errors import StoreError, UsageError
from fittingroom.execution.executor import HERE, most_memory, parse_address, prepare_fits
from fittingroom.execution.job import Limits
from fittingroom.runs.run import Run
from fittingroom.runs.store import Store, open_store

KeepModels = Literal["all", "best", "none"]


def compare(
    dataset: Dataset | str | Path,
    models: Sequence[str | Entrant] | Mapping[str, Any] | str = "quick",
    *,
    n_seeds: int = 3,
    full: bool = False,
    runs: Path | str = "runs",
    time_limit: float | None = None,
    memory_limit: int | None = None,
    keep_models: KeepModels = "best",
    on: str = HERE,
    on_progress: OnProgress | None = None,
) -> Leaderboard:
    """Fit every model with every seed, unless its run is saved, and rank them.

    Models of the catalogue are fitted in child processes, so that a crash, a limit or a NaN
    becomes a row with its reason while the others finish. Your own estimators are fitted in this
    process: their errors become rows too, but limits don't apply and crashes aren't contained.

    Parameters
    ----------
    dataset
        A data set, a name of the catalogue, or a path.
    models
        Names of the catalogue, or its rows with other settings (:class:`Entrant`); the name of a
        suite; or a mapping of names to models of your own: a scikit-learn classifier that takes
        (n, height * width) pixels in 0..255, a `torch.nn.Module` that takes
        (batch, 1, height, width) floats in 0..1 and returns logits, or a name of the catalogue.
    n_seeds
        Number of fits of each model, with seeds 0, 1, ...; a deterministic model is fitted once.
    full
        Train on the whole training split; choices are taken from a reference run, fitted without
        the validation part.
    runs
        The folder of saved runs.
    time_limit
        Seconds for one fit with its predictions. A model that is expected to take longer is not
        started.
    memory_limit
        Resident bytes of the fitting process and its children. A model whose images alone take
        more, or more than this machine has, is not started.
    keep_models
        Which fitted models stay on disk: `all`, for each model only the seed that is `best` on the
        selection half, or `none`.
    on
        Where models of the catalogue are fitted: `local:N`, in N processes here that share the
        threads; `ray` or `ray://HOST:PORT`, on a Ray cluster (see `executor.open_executor`).
    on_progress
        Called with each step.

    Raises
    ------
    UnknownNameError, UsageError
        When a name or a number is invalid.
    DataError, StoreError
        When the data can't be loaded or the runs folder can't be written.
    ClusterError
        When no cluster answers at that address.
    """
    if n_seeds < 1:
        raise UsageError(f"n_seeds is {n_seeds}; at least 1 is needed.")
    parse_address(on)  # an invalid one fails before anything is loaded
    dataset = load_dataset(dataset)
    entrants = entrants_of(models)
    dataset.validation_split()  # too few images fail before any fit
    store = open_store(runs, dataset, search_near=True)
    fit_entrants(
        *(dataset, store, entrants),
        n_seeds=n_seeds,
        full=full,
        limits=Limits(seconds=time_limit, memory=memory_limit),
        keep_models=keep_models,
        on=on,
        on_progress=on_progress,
    )
    return leaderboard(store)


def fit_entrants(
    dataset: Dataset,
    store: Store,
    entrants: Sequence[Entrant],
    *,
    n_seeds: int,
    full: bool,
    limits: Limits,
    keep_models: KeepModels,
    on: str,
    command: str | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Fit the runs of a comparison that the store lacks, and save how each entrant ended.

    Parameters as for :func:`compare`. The table, to be computed from the store, counts as shown.
    `command` is shown as the way to reproduce it.
    """
    schedule = Schedule(
        *(dataset, store, entrants),
        n_seeds=n_seeds,
        full=full,
        command=command,
        memory=most_memory(on, limits),
    )
    prepare_fits(on, schedule.models_to_fit(limits.seconds))
    with open_bench(
        dataset,
        store,
        on=on,
        limits=limits,
        estimators={e.name: e.own for e in entrants if e.own is not None},
        keep_models=keep_models != "none",
    ) as bench:
        schedule.fit(bench, limits.seconds, on_progress)
    if keep_models == "best":
        _keep_best(store, schedule.entries, dataset.validation_split().selection)
    schedule.looked_at()


def _keep_best(store: Store, entries: Sequence[Entry], selection: np.ndarray) -> None:
    """Keep the fitted model of each entry's best seed on the selection half; drop the others."""

    def accuracy(run: Run) -> float:
        return 0.0 if run.validation is None else run.validation.accuracy_on(selection)

    for entry in entries:
        if entry.status != "ok":
            continue
        runs = [run for seed in entry.seeds if (run := store.get(entry.model, entry.key, seed))]
        with suppress(StoreError):  # with unreadable predictions the best is unknown
            for run in sorted(runs, key=accuracy, reverse=True)[1:]:
                store.drop_model(run)
