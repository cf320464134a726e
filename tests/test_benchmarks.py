"""What the benchmarks do that takes no time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("limit", "kept"), [pytest.param("50M", True, marks=pytest.mark.slow), ("much", False)]
)
def test_what_a_command_printed_is_kept_though_a_model_failed(
    tmp_path: Path, limit: str, kept: bool, small_folder: Path
) -> None:
    data = str(small_folder)
    command = ["compare", "--models", "knn", "--dataset", data, "--memory-limit", limit]
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
