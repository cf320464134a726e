from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_data_shows_counts_pixels_and_hash(small_folder: Path, run_cli: Cli) -> None:
    result = run_cli("data", str(small_folder))
    assert result.returncode == 0, result.stderr
    description = json.loads(run_cli("data", str(small_folder), "--json").stdout)
    assert description["train"]["counts"]["Shirt"] == 200
    assert description["schema_version"] == 1
    assert description["sha256"] in result.stdout
    assert f"{description['test']['pixel_mean']:.3f}" in result.stdout
    assert "Ankle boot" in result.stdout


@pytest.mark.slow
def test_few_images_with_unusual_names(
    run_cli: Cli, tmp_path: Path, some_of: Callable[..., Dataset]
) -> None:
    """Also where the terminal can't encode them; a page that can't be written is refused first."""
    wide, arabic = "\u9577\u3044\u540d\u524d", "\u0642\u0645\u064a\u0635"
    names = [wide, arabic, "long name " * 30 + "1", "long name " * 30 + "2"]
    data = some_of({0: 3, 1: 2, 2: 2}, {0: 1, 3: 1}, class_names=names)
    data.write_idx(tmp_path / "some")
    (tmp_path / "data.html").mkdir()
    result = run_cli("data", "some", "--report", "data.html")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("fittingroom: data.html can't be written")
    result = run_cli("data", "some", env={"PYTHONIOENCODING": "utf8"})
    assert result.returncode == 0
    rows = result.stdout.splitlines()[5:]
    assert len({cell_len(line) for line in rows}) == 1
    assert max(map(cell_len, rows)) < 80
    assert [line.split()[-3] for line in rows if "…" in line] == ["1", "2"]  # told apart
    assert [line.split()[-2:] for line in rows[2:6]] == [[*"31"], [*"20"], [*"20"], [*"01"]]

    ascii_only = run_cli("data", "some", env={"PYTHONIOENCODING": "ascii"})
    assert ascii_only.returncode == 0
    assert "\\u0642\\u0645" in ascii_only.stdout


def test_any_form_is_converted_to_idx_files(
    small: Dataset, small_folder: Path, run_cli: Cli, tmp_path: Path
) -> None:
    table = np.column_stack([small.train.labels, small.train.images.reshape(-1, 784)])
    np.savetxt(tmp_path / "garments.csv", table, fmt="%d", delimiter=",")
    result = run_cli("data", "garments.csv", "--convert", "converted", "--json")
    assert result.returncode == 0, result.stderr
    assert "converted: the four IDX files, 1,710 and 290 images" in result.stderr
    described = json.loads(result.stdout)
    assert "of which a fixed seventh is the test split" in described["source"]
    converted = load_dataset(tmp_path / "converted")
    assert converted.name == described["name"] == "converted"
    assert converted.sha256 == described["sha256"]
    for folder, said in (
        ("converted", "converted exists already; --convert takes the name of a new folder"),
        ("no/folder", "--convert takes a new folder in an existing folder"),
    ):
        refused = run_cli("data", "garments.csv", "--convert", folder)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert said in refused.stderr
