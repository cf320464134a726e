"""Fit one model of the catalogue once: `fittingroom fit`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fittingroom.bench.bench import open_bench
from fittingroom.bench.feasibility import long_fit, why_too_large
from fittingroom.bench.progress import OnProgress, Reporter
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.data.splits import fold_of
from fittingroom.errors import StoreError, TrainingError, UsageError
from fittingroom.execution.executor import HERE, most_memory, prepare_fits
from fittingroom.execution.job import Limits
from fittingroom.models.catalog import row_of
from fittingroom.models.making import check_settings
from fittingroom.runs.attempt import Attempt, FitStep
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec, expected_seconds, spec_of
from fittingroom.runs.store import Store, open_store

if TYPE_CHECKING:
    from fittingroom.training.distributed import Group

log = logging.getLogger(__name__)


def fit(
    dataset: Dataset | str | Path,
    model: str,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    full: bool = False,
    reads_test: bool = True,
    folds: int = 0,
    runs: Path | str = "runs",
    on: str = HERE,
    on_progress: OnProgress | None = None,
) -> Run:
    """Fit a model, unless its run is saved, and return the run.

    It is fitted in a child process; inside `training.distributed.joined`, by all processes of the
    group together, of which the first one saves the run and calls `on_progress`.

    Parameters
    ----------
    dataset
        A data set, a name of the catalogue, or a path.
    model, settings
        A name of the catalogue, and what replaces its defaults.
    seed, full, reads_test, folds
        As in :func:`.spec.spec_of`.
    runs
        The folder of saved runs.
    on
        Where the fit runs, see :func:`.executor.open_executor`.
    on_progress
        Called with each step.

    Raises
    ------
    UnknownNameError, UsageError
        When the model or a parameter doesn't exist.
    DataError, StoreError
        When the data can't be loaded or the runs folder can't be written.
    TrainingError
        When the fit fails; the message says why.
    """
    row = row_of(model)
    if _group() is None:  # else this process fits, and no child
        prepare_fits(on, [row.name])
    check_settings(row.name, settings or {})  # fails before any data are fetched
    loaded = load_dataset(dataset)
    spec = spec_of(
        *(loaded, model),
        settings=settings,
        seed=seed,
        full=full,
        reads_test=reads_test,
        folds=folds,
    )
    if folds:
        fold_of(loaded.train.labels, folds)  # too many folds fail before anything is fitted
    return fit_spec(spec, loaded, open_store(runs, loaded), on=on, on_progress=on_progress)


def fit_spec(
    spec: RunSpec,
    dataset: Dataset,
    store: Store,
    *,
    on: str = HERE,
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
) -> Run:
    """Fit a spec, like :func:`fit`."""
    group = _group()
    tell = on_progress if group is None or group.first else None
    reporter = Reporter(tell, total=1, expected=lambda spec: expected_seconds(spec, dataset))
    if not store.holds(spec) and (group is None or group.first):
        _foresee(spec, dataset, None if group else most_memory(on, limits or Limits()))
    if group is None:
        with open_bench(dataset, store, on=on, limits=limits) as bench:
            (attempt,) = bench.attempts([spec], reporter)
    else:
        attempt = _fit_together(spec, dataset, store, reporter)
    if attempt.status == "unreadable":
        raise StoreError(str(attempt.reason))
    if attempt.run is None:
        raise TrainingError(f"{spec.label} was not fitted: {attempt.reason}")
    reporter.ended(attempt)
    return attempt.run


def _foresee(spec: RunSpec, dataset: Dataset, memory: int | None) -> None:
    """Announce a long fit. Raises TrainingError for one that can't have enough memory."""
    if (reason := why_too_large(spec, dataset, memory)) is not None:
        raise TrainingError(f"{spec.label} was not fitted: {reason}.")
    if (sentence := long_fit(spec, dataset)) is not None:
        log.info("%s", sentence)


def _fit_together(spec: RunSpec, dataset: Dataset, store: Store, reporter: Reporter) -> Attempt:
    """Fit in all processes of the group."""
    from fittingroom.execution.together import fit_together

    if row_of(spec.model).family != "network" or spec.folds:
        raise UsageError(
            f"torchrun can train only networks, without folds; fit {spec.label} without torchrun."
        )

    def on_step(step: FitStep) -> None:
        reporter.stepped(spec, step)

    if store.find(spec) is None:
        reporter.started(spec)
    run = fit_together(spec, dataset, store, on_step=on_step)
    return Attempt(spec=spec, status="ok", run=run)


def _group() -> Group | None:
    """The group that this process trains in, if any; then torch is imported already."""
    distributed = sys.modules.get("fittingroom.training.distributed")
    group = None if distributed is None else distributed.current()
    return group if group and group.size > 1 else None
