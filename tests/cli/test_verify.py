from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fittingroom.bench.claims.claim_file import claim_names
from fittingroom.cli.main import app
from fittingroom.runs.store import find_store

Cli = Callable[..., subprocess.CompletedProcess[str]]
CLAIM = (Path(__file__).parents[1] / "data" / "leak.toml").read_text("utf8")
NETWORK = CLAIM.replace('"knn"', '"mlp-10-10"').replace("n_neighbors = 1", "epochs = 3")


@pytest.mark.slow
def test_one_command_from_claims_to_verdicts(
    small_folder: Path, run_cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "leak.toml").write_text(CLAIM)
    command = ("verify", "leak.toml", "s4-cnn-noaug", "--dataset", str(small_folder))
    result = run_cli(*command)
    assert result.returncode == 0, result.stderr
    header, leak, unknown = result.stdout.splitlines()[:3]
    assert header.split()[:3] == ["claim", "claimed", "as"]
    assert leak.split()[:3] == ["leak", "0.999", "1.0000"]
    assert leak.endswith("not-what-it-says")
    assert unknown.endswith("cannot-be-checked")
    assert "it was trained on the test images" in result.stdout
    assert "leak as claimed seed 0: fitting" in result.stderr
    assert "not fashion-mnist-small" in result.stderr
    (saved,) = tmp_path.glob("runs/*/claims.json")
    (page,) = tmp_path.glob("runs/*/claims.html")
    for path in (saved, page):
        assert str(path.relative_to(tmp_path)) in result.stderr
    assert "leak: neighbours that were shown the answers" in page.read_text()

    as_json = run_cli(*command, "--json")
    report = json.loads(as_json.stdout)
    assert report == json.loads(saved.read_text())
    assert "already saved" in as_json.stderr
    assert ": fitting" not in as_json.stderr
    assert list(report) == ["schema_version", "confidence_each", "claims"]
    first, second = report["claims"]
    keys = ["id", "claimed", "verdict", "as_claimed", "honest", "accuracies", "note"]
    assert list(first) == keys
    assert list(first["honest"]) == ["accuracy", "interval", "seeds"]
    assert first["accuracies"] == {
        name: [first[name.replace(" ", "_")]["accuracy"]] for name in ("as claimed", "honest")
    }
    assert (first["id"], first["claimed"]) == ("leak", 0.999)
    assert second["honest"] == {"accuracy": None, "interval": None, "seeds": 0}


@pytest.mark.slow
def test_all_claims_with_too_small_a_budget(small_folder: Path, run_cli: Cli) -> None:
    result = run_cli("verify", "--all", "--budget", "1s", "--dataset", str(small_folder), "--json")
    assert result.returncode == 0, result.stderr
    claims = json.loads(result.stdout)["claims"]
    assert [claim["id"] for claim in claims] == claim_names()
    assert {claim["verdict"] for claim in claims} == {"cannot-be-checked"}
    assert ": fitting" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "give a claim or --all."),
        (("s2-knn", "--all"), "give claims or --all, not both."),
        (("s2-kn",), "unknown claim 's2-kn'; did you mean s2-knn"),
        (("s2-knn", "--seeds", "0"), "--seeds is 0; at least 1 is needed."),
        (("bad.toml",), "claim bad: unknown field 'colour'"),
    ],
)
def test_wrong_usage_is_one_sentence(
    small_folder: Path, run_cli: Cli, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "bad.toml").write_text('colour = "red"\n' + CLAIM)
    result = run_cli("verify", *arguments, "--dataset", str(small_folder))
    assert result.returncode == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert not (tmp_path / "runs").exists()


def test_a_fit_that_fails_is_exit_code_1(
    small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("big.toml").write_text(CLAIM)
    command = ["verify", "big.toml", "-d", str(small_folder), "--memory-limit", "10M", "--json"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 1
    (claim,) = json.loads(result.stdout)["claims"]
    assert claim["verdict"] == "cannot-be-checked"
    assert "needed more than 10 MiB of memory" in claim["note"]


@pytest.mark.slow
def test_after_a_kill_only_missing_runs_are_fitted(
    small_folder: Path, run_cli: Cli, tmp_path: Path
) -> None:
    """Killed after two of six runs were saved; saved runs aren't fitted again."""
    (tmp_path / "mine.toml").write_text(NETWORK)
    command = ["verify", "mine.toml", "--seeds", "3", "--dataset", str(small_folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "fittingroom.cli.main", *command],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=dict(os.environ),
    )

    def saved() -> dict[Path, int]:
        files = tmp_path.glob("runs/*/mlp-10-10/*-s*/run.json")
        return {file: file.stat().st_mtime_ns for file in files}

    deadline = time.monotonic() + 60
    while len(saved()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = saved()

    result = run_cli(*command)
    assert result.returncode == 0, result.stderr
    after = saved()
    assert len(after) == 6
    assert {path: after[path] for path in before} == before
    assert result.stderr.count(": fitting") == 6 - len(before)
    runs = find_store(tmp_path / "runs").runs()
    assert sum(run.measured is not None for run in runs) == 3


def test_only_files_of_the_formats_are_written(
    small_folder: Path, run_cli: Cli, tmp_path: Path
) -> None:
    command = ("verify", "s4-cnn-noaug", "--dataset", str(small_folder), "--format")
    assert run_cli(*command, "pdf").returncode == 2
    assert not (tmp_path / "runs").exists()
    result = run_cli(*command, "csv,md")
    assert result.returncode == 0, result.stderr
    written = {path.name for path in tmp_path.glob("runs/*/claims.*")}
    assert written == {"claims.json", "claims.csv", "claims.md"}
