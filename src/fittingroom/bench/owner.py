"""Whose a trial is, and whether its owner still lives."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import optuna
import psutil
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

#: Seconds between two signs of life, and without one until a process elsewhere is taken for dead.
BEAT, SILENCE = 20.0, 120.0
#: What a database that is away, locked or full raises.
DATABASE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)


def owner() -> dict[str, Any]:
    """This process, so that another one can tell whether it lives: numbers of dead ones return."""
    born = psutil.Process().create_time()
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": born}


def is_orphan(trial: FrozenTrial) -> bool:
    """Whether the process that a running trial belongs to has ended, as far as can be told.

    On this machine that is seen at once, elsewhere by its silence. Silence tells as well where the
    number is of a process born at another time: either it has returned, or the clock was set, and
    the times of all births with it.
    """
    of_trial = trial.user_attrs.get("owner")
    if of_trial is not None and of_trial["host"] == socket.gethostname():
        try:
            if psutil.Process(of_trial["pid"]).create_time() == of_trial["born"]:
                return False
        except psutil.NoSuchProcess:
            return True
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
