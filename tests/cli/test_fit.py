from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_fit_saves_a_run_and_prints_its_folder(
    small_folder: Path, run_cli: Cli, tmp_path: Path
) -> None:
    arguments = (
        "fit",
        "mlp-256-256",
        "--dataset",
        str(small_folder),
        "--set",
        "epochs=2",
        "--seed",
        "7",
    )
    result = run_cli(*arguments)
    assert result.returncode == 0, result.stderr
    assert "mlp-256-256[epochs=2], seed 7, 1,800 training images" in result.stdout
    folder = tmp_path / result.stdout.splitlines()[-1]
    assert (folder / "model" / "weights.safetensors").exists()
    record = json.loads(run_cli(*arguments, "--json").stdout)
    assert record == json.loads((folder / "run.json").read_text())


@pytest.mark.slow
def test_no_test_leaves_the_test_split_unread(small_folder: Path, run_cli: Cli) -> None:
    result = run_cli("fit", "knn", "--dataset", str(small_folder), "--no-test")
    assert result.returncode == 0, result.stderr
    assert "validation accuracy" in result.stdout
    assert "test accuracy" not in result.stdout
    board = json.loads(run_cli("report", "runs", "--json").stdout)
    assert board["test_reads"] == 0
    assert board["rows"][0]["test"] is None
    assert board["rows"][0]["validation"]["accuracy"] > 0.7


@pytest.mark.slow
def test_a_fit_that_fails_is_one_sentence(small_folder: Path, run_cli: Cli) -> None:
    settings = ("--set", "learning_rate=1e30", "--set", "epochs=2")
    result = run_cli("fit", "mlp-256-256", "--dataset", str(small_folder), *settings)
    assert result.returncode == 1
    assert "was not fitted" in result.stderr
    assert "epoch" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_world_size_alone_does_not_mean_torchrun(small_folder: Path, run_cli: Cli) -> None:
    """Some clusters set WORLD_SIZE for every job."""
    result = run_cli("fit", "knn", "--dataset", str(small_folder), env={"WORLD_SIZE": "2"})
    assert result.returncode == 0, result.stderr


def test_invalid_torchrun_variables_are_one_sentence(small_folder: Path, run_cli: Cli) -> None:
    env = {"RANK": "0", "WORLD_SIZE": "abc", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9"}
    result = run_cli("fit", "cnn-32", "--dataset", str(small_folder), env=env)
    assert result.returncode == 2
    assert "fittingroom: torchrun's environment variables are missing or invalid" in result.stderr
    assert "'abc'" in result.stderr
    assert "Traceback" not in result.stderr


def test_processes_of_torchrun_refuse_on(run_cli: Cli) -> None:
    env = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9"}
    result = run_cli("fit", "cnn-32", "--on", "ray", env=env)
    assert result.returncode == 2
    assert "leave --on out" in result.stderr
    assert run_cli("fit", "cnn-32", "--on", "mars").returncode == 2
