"""Fit what is missing, then compare: the whole of `fittingroom compare`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from fittingroom.bench.comparison import Entry
from fittingroom.bench.entrant import Entrant, entrants_of
from fittingroom.bench.executor import Limits
from fittingroom.bench.leaderboard import Leaderboard, leaderboard
from fittingroom.bench.place import HERE, Place
from fittingroom.bench.placement import placed
from fittingroom.bench.plan import Plan
from fittingroom.bench.progress import OnProgress
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import StoreError, UsageError
from fittingroom.runs.run import Run
from fittingroom.runs.store import Store, open_store

KeepModels = Literal["all", "best", "none"]


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
    on: str = HERE,
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
    on
        Where models of the catalogue are fitted: `local:N`, in N processes here that share the
        threads; `ray` or `ray://HOST:PORT`, on a Ray cluster (see `placement.placed`).
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
    ClusterError
        When there is no cluster where `on` says.
    """
    if seeds < 1:
        raise UsageError(f"seeds is {seeds}; at least 1 is needed.")
    Place.of(on)  # a wrong one is refused before anything is loaded
    dataset = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    entrants = entrants_of(models)
    split = validation_split(dataset.train.labels)  # too few images are refused before any fit
    store = open_store(runs, dataset)
    plan = Plan(
        dataset,
        store,
        entrants,
        seeds=seeds,
        full=full,
        command=command,
        on_progress=on_progress or (lambda _: None),
    )
    limits = Limits(seconds=time_limit, memory=memory_limit)
    with located(dataset) as location, placed(on, limits) as placement:
        plan.fit(placement, location, limits, keep_model=keep_models != "none")
    if keep_models == "best":
        _keep_best(store, plan.entries, split.choose)
    plan.looked_at()
    return leaderboard(store)


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
        if entry.status != "ok":
            continue
        runs = [run for seed in entry.seeds if (run := store.get(entry.model, entry.key, seed))]
        with suppress(StoreError):  # of predictions that can't be read no best is known
            for run in sorted(runs, key=accuracy, reverse=True)[1:]:
                store.drop_model(run)
