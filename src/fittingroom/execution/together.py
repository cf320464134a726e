"""Fit one network in several processes, each with its share of every batch."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError, UsageError
from fittingroom.files import replace_file
from fittingroom.runs.fit import OnStep, fit
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store, open_store
from fittingroom.runs.transfer import pack, unpack
from fittingroom.training.distributed import Group, current
from fittingroom.untrusted import open_untrusted

log = logging.getLogger(__name__)


def fit_together(spec: RunSpec, dataset: Dataset, store: Store, *, on_step: OnStep) -> Run:
    """The run of a spec, fitted by all processes of the `process_group`.

    All run the same code, each with its own store: the first uses the given one, the others a
    temporary copy of what it holds of this spec. So they need no shared disk, and all resume a
    training that was killed.

    Parameters
    ----------
    on_step
        Called in the first process only.

    Raises
    ------
    UsageError
        When the processes have different specs.
    UsageError, TrainingError, StoreError
        As `fit`; see `training.distributed.joined`.
    """
    group = current()
    if not group.all_equal(spec.folder_name.encode()):
        raise UsageError(
            "the processes were given different runs; start each with the same command: the same "
            "model, settings, seed and data."
        )
    with TemporaryDirectory(prefix="fittingroom-") as folder:
        if not group.first:
            store = open_store(folder, dataset)
        _share(group, store, spec)
        return fit(spec, dataset, store, on_step=on_step if group.first else None)


def _share(group: Group, store: Store, spec: RunSpec) -> None:
    """Send the first process's runs and checkpoints of that model and seed to all others."""
    archive = pack(store.runs(spec.model, spec.seed), models=False) if group.first else b""
    archive = group.broadcast(archive)
    if not group.first:
        unpack(archive, store)
    for training in (spec, *spec.references):
        path = store.checkpoint_path(training)
        state = group.broadcast(_read_checkpoint(path) if group.first else b"")
        if state and not group.first:
            path.parent.mkdir(exist_ok=True)
            replace_file(path, state)


def _read_checkpoint(path: Path) -> bytes:
    """The bytes of a checkpoint; empty if there is none, or it can't be read."""
    if not os.path.lexists(path):
        return b""
    try:
        with open_untrusted(path, StoreError, within=path.parent) as file:
            return file.read()
    except StoreError as error:
        log.warning("%s", error)
        return b""
