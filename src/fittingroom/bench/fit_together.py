"""Fit one network in several processes, each with its share of every batch."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fittingroom.bench.progress import OnProgress, Progress
from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError, UsageError
from fittingroom.files import replace_file
from fittingroom.runs.asked import Asked
from fittingroom.runs.fit import fit_catalogue_model
from fittingroom.runs.parcel import pack, unpack
from fittingroom.runs.run import Run
from fittingroom.runs.store import Store, open_store
from fittingroom.training.distributed import Group, current
from fittingroom.training.epoch import Epoch
from fittingroom.untrusted import open_untrusted

log = logging.getLogger(__name__)


def fit_together(
    store: Store,
    dataset: Dataset,
    asked: Asked,
    overrides: Mapping[str, Any],
    started: Progress,
    on_progress: OnProgress,
) -> Run:
    """The run that was asked for, fitted by all processes that `joined` each other.

    All go the same way, each with a store of its own: the first with the one that is given, the
    others with one that holds what the first one's does and is removed afterwards. So they need no
    common disk, and a training that was killed goes on in all of them.

    Parameters
    ----------
    started
        What `on_progress` is told at first.
    on_progress
        Called in the first process alone.

    Raises
    ------
    UsageError
        When the processes were asked for different runs.
    UsageError, TrainingError, StoreError
        As `fit_catalogue_model`; see `training.distributed.joined`.
    """
    group = current()
    if not group.same(asked.folder_name.encode()):
        raise UsageError(
            "the processes were asked for different runs; give each the same command, with the "
            "same model, settings, seed and data."
        )
    tell = on_progress if group.first else _silent
    with TemporaryDirectory(prefix="fittingroom-") as folder:
        if not group.first:
            store = open_store(folder, dataset)
        _share(group, store, asked)

        def on_epoch(epoch: Epoch, epochs: int) -> None:
            tell(replace(started, kind="epoch", detail={"epochs": epochs, **vars(epoch)}))

        if store.find(asked) is None:
            tell(started)
        run = fit_catalogue_model(
            store,
            dataset,
            asked.model,
            overrides=overrides,
            seed=asked.seed,
            full=asked.full,
            reads_test=asked.reads_test,
            on_epoch=on_epoch,
        )
    tell(replace(started, kind="saved", done=1))
    return run


def _share(group: Group, store: Store, asked: Asked) -> None:
    """Give every process what the first one has of that model and seed: runs and checkpoints."""
    saved = pack(store.runs(asked.model, asked.seed), models=False) if group.first else b""
    saved = group.sent(saved)
    if not group.first:
        unpack(saved, store)
    for training in (asked, replace(asked, full=False, reads_test=False)):  # its twin, too
        path = store.checkpoint_path(training)
        state = group.sent(_state_at(path) if group.first else b"")
        if state and not group.first:
            path.parent.mkdir(exist_ok=True)
            replace_file(path, state)


def _state_at(path: Path) -> bytes:
    """The checkpoint at a path, empty where there is none that can be read."""
    if not os.path.lexists(path):
        return b""
    try:
        with open_untrusted(path, StoreError, within=path.parent) as file:
            return file.read()
    except StoreError as error:
        log.warning("%s", error)
        return b""


def _silent(_: Progress) -> None:
    pass
