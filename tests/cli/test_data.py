from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Cli = Callable[..., subprocess.CompletedProcess[str]]
SMALL = Path(__file__).parents[1] / "data" / "fashion-mnist-small"


def test_data_shows_counts_pixels_and_hash(run_cli: Cli) -> None:
    shown = run_cli("data", str(SMALL))
    assert shown.returncode == 0, shown.stderr
    described = json.loads(run_cli("data", str(SMALL), "--json").stdout)
    assert described["train"]["counts"]["Shirt"] == 200
    assert described["schema_version"] == 1
    assert described["sha256"] in shown.stdout
    assert f"{described['test']['pixel_mean']:.3f}" in shown.stdout
    assert "Ankle boot" in shown.stdout
