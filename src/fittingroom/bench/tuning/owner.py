"""Whose a trial is, and whether its owner still lives."""

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

#: Seconds between two signs of life, and without one until a process elsewhere is taken for dead.
BEAT, SILENCE = 20.0, 120.0
#: What a database that is away, locked or full raises.
DATABASE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)


def owner() -> dict[str, Any]:
    """This process, as a trial's attribute says whose it is."""
    return asdict(this_process())


def is_orphan(trial: FrozenTrial) -> bool:
    """Whether the process that a running trial belongs to has ended, as far as can be told.

    On this machine that is usually seen at once, elsewhere by its silence.
    """
    of_trial = trial.user_attrs.get("owner")
    dead = None
    if of_trial is not None:
        dead = Owner(of_trial["host"], of_trial["pid"], of_trial["born"]).is_dead
    if dead is not None:
        return dead
    started = (trial.datetime_start or datetime.now()).timestamp()
    return time.time() - float(trial.user_attrs.get("beat", started)) > SILENCE


@contextmanager
def signs_of_life(trial: optuna.Trial) -> Iterator[None]:
    """Leave some in the database meanwhile."""
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(trial, stop), daemon=True)
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()


def _beat(trial: optuna.Trial, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        # A database that is away for a while costs a sign of life, not the trial.
        with contextlib.suppress(*DATABASE_ERRORS, optuna.exceptions.UpdateFinishedTrialError):
            trial.set_user_attr("beat", time.time())
