"""Which process owns a trial, and whether that process is still alive."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from fittingroom.files import Owner, this_process

#: Seconds between heartbeats, and without one until a process elsewhere is considered dead.
BEAT, SILENCE = 20.0, 120.0
#: Raised by a database that is unreachable, locked or full.
DATABASE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)


def owner() -> dict[str, Any]:
    """This process, as a trial's `owner` attribute."""
    return asdict(this_process())


def is_orphan(trial: FrozenTrial) -> bool:
    """Whether the owner of a running trial seems to have died.

    On this machine this is usually seen at once, elsewhere by missing heartbeats.
    """
    process = trial.user_attrs.get("owner")
    dead = None
    if process is not None:
        dead = Owner(process["host"], process["pid"], process["born"]).is_dead
    if dead is not None:
        return dead
    started = (trial.datetime_start or datetime.now()).timestamp()
    return time.time() - float(trial.user_attrs.get("beat", started)) > SILENCE


@contextmanager
def signs_of_life(trial: optuna.Trial) -> Iterator[None]:
    """Write heartbeats to the database inside a `with`."""
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(trial, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _beat(trial: optuna.Trial, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        # While the database is unreachable, a heartbeat is lost, not the trial.
        with contextlib.suppress(*DATABASE_ERRORS, optuna.exceptions.UpdateFinishedTrialError):
            trial.set_user_attr("beat", time.time())
