from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_predictions_made_elsewhere_join_the_table(
    small_folder: Path, run_cli: Cli, tmp_path: Path, small: Dataset
) -> None:
    fit(spec_of(small, "knn"), small, open_store(tmp_path / "runs", small), keep_model=False)
    np.savez(tmp_path / "theirs.npz", probabilities=np.full((1000, 10), 0.1))
    result = run_cli("add", "theirs", "theirs.npz", "--dataset", str(small_folder), "--json")
    assert result.returncode == 0, result.stderr
    board = json.loads(result.stdout)
    assert [row["model"] for row in board["rows"]] == ["knn", "theirs (added)"]
    assert board["rows"][1]["rank"] == [1, 2], "one fit of an unknown recipe"
    assert board["test_reads"] == 2


@pytest.mark.slow
def test_true_labels_are_refused_in_one_sentence(
    small_folder: Path, run_cli: Cli, tmp_path: Path, small: Dataset
) -> None:
    predictions = (small.test.labels + (np.arange(1000) < 100)) % 10
    np.savez(tmp_path / "theirs.npz", labels=small.test.labels, predictions=predictions)
    add = ("add", "theirs", "theirs.npz", "--dataset", str(small_folder))
    refused = run_cli(*add)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1
    assert "--array predictions" in refused.stderr
    added = run_cli(*add, "--array", "predictions", "--json")
    assert added.returncode == 0, added.stderr
    (row,) = json.loads(added.stdout)["rows"]
    assert (row["test"]["accuracy"], row["deterministic"]) == (0.9, False)
