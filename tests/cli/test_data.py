from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from fittingroom.data.dataset import Dataset

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_data_shows_counts_pixels_and_hash(small_folder: Path, run_cli: Cli) -> None:
    shown = run_cli("data", str(small_folder))
    assert shown.returncode == 0, shown.stderr
    described = json.loads(run_cli("data", str(small_folder), "--json").stdout)
    assert described["train"]["counts"]["Shirt"] == 200
    assert described["schema_version"] == 1
    assert described["sha256"] in shown.stdout
    assert f"{described['test']['pixel_mean']:.3f}" in shown.stdout
    assert "Ankle boot" in shown.stdout


@pytest.mark.slow
def test_few_images_with_names_of_every_kind(
    run_cli: Cli, tmp_path: Path, some_of: Callable[..., Dataset]
) -> None:
    """Also where the terminal can't write them, and where the page can't be written."""
    wide, arabic = "\u9577\u3044\u540d\u524d", "\u0642\u0645\u064a\u0635"
    names = [wide, arabic, "long name " * 30 + "1", "long name " * 30 + "2"]
    data = some_of({0: 3, 1: 2, 2: 2}, {0: 1, 3: 1}, class_names=names)
    data.write_idx(tmp_path / "some")
    (tmp_path / "data.html").mkdir()
    shown = run_cli("data", "some", "--report", "data.html", env={"PYTHONIOENCODING": "utf8"})
    assert shown.returncode == 1
    assert shown.stderr.splitlines()[-1].startswith("fittingroom: data.html can't be written")
    assert "Traceback" not in shown.stderr
    rows = shown.stdout.splitlines()[5:]
    assert len({cell_len(line) for line in rows}) == 1
    assert max(map(cell_len, rows)) < 80
    assert [line.split()[-3] for line in rows if "…" in line] == ["1", "2"]  # told apart
    assert [line.split()[-2:] for line in rows[2:6]] == [[*"31"], [*"20"], [*"20"], [*"01"]]

    poor = run_cli("data", "some", env={"PYTHONIOENCODING": "ascii"})
    assert poor.returncode == 0
    assert "\\u0642\\u0645" in poor.stdout
