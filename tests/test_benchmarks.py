"""What the benchmarks do that takes no time: they go on, and keep what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import psutil
import pytest
import scale

ROOT = Path(__file__).parents[1]
SMALL = Path(__file__).parent / "data" / "fashion-mnist-small"


def test_a_lost_node_is_not_lost_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can't be: all runs are saved by then."""
    losing = Mock(return_value={"removed_after_runs": 4})
    monkeypatch.setattr(scale, "compare_and_lose_a_node", losing)
    monkeypatch.setattr(scale.subprocess, "run", Mock(side_effect=[KeyboardInterrupt, None]))
    monkeypatch.setattr(scale, "saved", lambda runs: [])
    with pytest.raises(KeyboardInterrupt):
        scale.lost_node(tmp_path)
    assert scale.lost_node(tmp_path)["removed_after_runs"] == 4
    assert losing.call_count == 1


def test_a_process_that_ends_while_it_is_looked_at_fits_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = Mock(cmdline=Mock(side_effect=psutil.NoSuchProcess(7)))
    fitting = Mock(cmdline=Mock(return_value=["python", "-m", "fittingroom.bench.worker"]))
    node = Mock(children=Mock(return_value=[ended, fitting]))
    monkeypatch.setattr(scale.psutil, "Process", lambda pid: node)
    raylet = SimpleNamespace(process=SimpleNamespace(pid=1))
    assert scale.fitting_on(SimpleNamespace(all_processes={"raylet": [raylet]})) == [fitting]


@pytest.mark.parametrize(("limit", "kept"), [("50M", True), ("much", False)])
def test_what_a_command_printed_is_kept_though_a_model_failed(
    tmp_path: Path, limit: str, kept: bool
) -> None:
    command = ["compare", "--models", "knn", "--dataset", str(SMALL), "--memory-limit", limit]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "printed.py"), str(tmp_path / "out"), *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == kept, done.stderr
    if kept:
        found = json.loads((tmp_path / "out").read_text())
        assert found["exit_code"] == 1
        assert found["printed"]
