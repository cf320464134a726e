from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fittingroom.cli.main import app
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store


@pytest.mark.parametrize("formats", ["html,csv", "csv"])
def test_a_report_without_the_data_has_no_images(
    some_of: Callable[..., Dataset], tmp_path: Path, formats: str
) -> None:
    some_of({0: 12, 1: 12}, {0: 3, 1: 2}).write_idx(tmp_path / "data")
    dataset = load_dataset(tmp_path / "data")
    store = open_store(tmp_path / "runs", dataset)
    fit(spec_of(dataset, "knn"), dataset, store, keep_model=False)
    shutil.rmtree(tmp_path / "data")
    arguments = ("report", str(tmp_path / "runs"), "--format", formats, "--json")
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert [row["model"] for row in json.loads(result.stdout)["rows"]] == ["knn"]
    missing = "can't be found any more; the page has no images."
    assert (missing in result.stderr) is ("html" in formats)
    assert (store.folder / "report.html").exists() is ("html" in formats)
    assert (store.folder / "leaderboard.csv").exists()
