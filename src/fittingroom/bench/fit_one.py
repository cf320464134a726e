"""Fit one model of the catalogue once: the whole of `fittingroom fit`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fittingroom.bench.entrant import Entrant
from fittingroom.bench.executor import Job, Limits
from fittingroom.bench.place import HERE
from fittingroom.bench.placement import placed
from fittingroom.bench.progress import OnProgress, Progress
from fittingroom.data.sources import load_dataset
from fittingroom.data.splits import fold_of
from fittingroom.errors import StoreError, TrainingError, UsageError
from fittingroom.models.catalog import classifier_of, row_of
from fittingroom.runs.asked import asked_of_row
from fittingroom.runs.run import Run, label
from fittingroom.runs.store import open_store


def fit_one(
    dataset: str | Path,
    model: str,
    *,
    overrides: Mapping[str, Any],
    seed: int = 0,
    full: bool = False,
    reads_test: bool = True,
    folds: int = 0,
    runs: Path | str = "runs",
    on: str = HERE,
    limits: Limits | None = None,
    on_progress: OnProgress,
) -> Run:
    """The run that was asked for: the saved one, or a new one from a child process.

    `on` says where that runs, see :func:`.placement.placed`; `limits` are of the fit.
    With `folds` it is a cross-validation over the training split, which reads no test image.
    Inside `training.distributed.joined` a network is trained by all processes together, in
    themselves; the first one's store gets the run and its `on_progress` is called.

    Raises
    ------
    UnknownNameError, UsageError
        When the model or a parameter doesn't exist.
    DataError, StoreError
        When the data can't be loaded or the runs folder can't be written.
    TrainingError
        When the fit fails; the message says why.
    """
    model = row_of(model).name
    classifier_of(model, overrides)  # a wrong name is refused before any data are fetched
    loaded = load_dataset(dataset)
    assert loaded.location is not None  # it was loaded from somewhere
    _, asked = asked_of_row(
        loaded,
        model,
        overrides=overrides,
        seed=seed,
        full=full or bool(folds),
        reads_test=reads_test and not folds,
    )
    if folds:
        fold_of(loaded.train.labels, folds)  # too many are refused before anything is fitted
        asked = replace(asked, folds=folds)
    store = open_store(runs, loaded)
    name = label(model, overrides)
    expected = Entrant(name=model, overrides=overrides).seconds(loaded)
    started = Progress(
        kind="started",
        model=name,
        seed=asked.seed,
        done=0,
        total=1,
        expected=None if expected is None else (folds or 1) * expected,
    )
    if _several_processes():
        if row_of(model).family != "network" or folds:
            raise UsageError(
                f"several processes train one network together; {name} is fitted by one."
            )
        from fittingroom.bench.fit_together import fit_together

        return fit_together(store, loaded, asked, overrides, started, on_progress)
    if store.find(asked) is None:
        job = Job(
            dataset=str(loaded.location.resolve()),
            sha256=loaded.sha256,
            store=str(store.folder.resolve()),
            model=model,
            seed=asked.seed,
            full=asked.full,
            reads_test=asked.reads_test,
            folds=folds,
            overrides=dict(overrides),
        )
        _fit(job, on, limits or Limits(), started, on_progress)
    on_progress(replace(started, kind="saved", done=1))
    if (run := store.find(asked)) is None:
        raise StoreError(f"the run of {name} is not in {store.folder}; was it deleted meanwhile?")
    return run


def _several_processes() -> bool:
    """Whether this process trains together with others; then torch is there already."""
    distributed = sys.modules.get("fittingroom.training.distributed")
    return distributed is not None and distributed.current().size > 1


def _fit(job: Job, on: str, limits: Limits, started: Progress, on_progress: OnProgress) -> None:
    """Make a run in a child process, and tell how far it is."""
    with placed(on, limits) as placement:
        ((_, outcome),) = placement.run(
            [job],
            lambda _, event: on_progress(replace(started, kind=event["event"], detail=event)),
        )
    if outcome.status != "ok":
        raise TrainingError(f"{started.model} was not fitted: {outcome.reason}")
