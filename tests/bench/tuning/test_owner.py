from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from fittingroom.bench.tuning.owner import SILENCE, is_orphan, owner


def running(**facts: Any) -> FrozenTrial:
    return create_trial(state=TrialState.RUNNING, user_attrs={"owner": {**owner(), **facts}})


def test_a_process_of_this_machine_is_alive_or_dead_at_once() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not is_orphan(running())
    assert is_orphan(running(pid=ended.pid))


@pytest.mark.parametrize(("silent", "dead"), [(1.0, False), (SILENCE + 1, True)])
def test_after_a_clock_change_missing_heartbeats_decide(silent: float, dead: bool) -> None:
    """The start time of a process then changes, as if its PID had been reused."""
    trial = running(born=owner()["born"] + 3600)
    trial.set_user_attr("beat", time.time() - silent)
    assert is_orphan(trial) == dead
