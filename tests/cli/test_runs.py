"""`fittingroom runs` on the command line."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fittingroom.cli.main import app
from fittingroom.data.dataset import Dataset
from fittingroom.errors import FittingroomError
from fittingroom.runs.fit import fit
from fittingroom.runs.run import Run
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def saved(small: Dataset, tmp_path: Path) -> dict[str, Run]:
    store = open_store(tmp_path / "runs", small)
    return {
        "knn": fit(spec_of(small, "knn"), small, store),
        "nb": fit(spec_of(small, "zalando-gaussian-nb"), small, store, keep_model=False),
    }


def call(*arguments: str, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["runs", *arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def test_the_table_names_every_run_in_80_columns(saved: dict[str, Run], tmp_path: Path) -> None:
    stdout, _ = call("--runs", str(tmp_path / "runs"))
    title, _, head, knn, other = stdout.splitlines()
    assert title.endswith(saved["knn"].folder.parent.parent.name)
    assert head.split() == ["model", "run", "validation", "test", "saved", "size"]
    test = saved["knn"].test
    assert test is not None
    assert knn.split()[:2] == ["knn", saved["knn"].folder.name]
    assert f"{test.correct.mean():.4f}" in knn
    assert knn.endswith("MB")
    assert not other.endswith("MB"), "its model wasn't kept"
    assert all(len(line) <= 80 for line in stdout.splitlines()[2:])


def test_a_named_run_is_shown_in_full(saved: dict[str, Run], tmp_path: Path) -> None:
    stdout, _ = call("knn", "--runs", str(tmp_path / "runs"))
    assert stdout.startswith("knn, seed 0, 1,800 training images\nvalidation accuracy ")
    stdout, _ = call("knn", "--runs", str(tmp_path / "runs"), "--json")
    facts = json.loads(stdout)
    assert facts["schema_version"] == 1
    (run,) = facts["runs"]
    assert (run["run"], run["folder"]) == (saved["knn"].record.spec.path, str(saved["knn"].folder))


def test_a_run_is_removed_and_no_other(saved: dict[str, Run], tmp_path: Path, run_cli: Cli) -> None:
    runs = ("--runs", str(tmp_path / "runs"))
    result = run_cli("runs", "--remove", "knn", *runs, stdin=subprocess.DEVNULL)
    assert (result.returncode, "add --yes" in result.stderr) == (2, True)
    assert saved["knn"].folder.exists()
    _, stderr = call("--remove", "knn", "--yes", *runs)
    assert "removed 1" in stderr
    assert not saved["knn"].folder.exists()
    assert not list(tmp_path.glob("runs/*/*/.partial-*"))
    assert saved["nb"].folder.exists()


def test_a_damaged_run_is_named(saved: dict[str, Run], tmp_path: Path) -> None:
    (saved["nb"].folder / "run.json").write_text("{}")
    stdout, stderr = call("--runs", str(tmp_path / "runs"))
    assert len(stdout.splitlines()) == 4
    assert stderr.startswith("unreadable: ")
    assert str(saved["nb"].folder) in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--remove"], "name the runs to remove"),
        (["knn", "--yes"], "--yes is only for --remove"),
        (["kn"], "unknown saved model 'kn'; did you mean knn"),
        (["--runs", "absent"], "no saved runs in absent"),
    ],
)
def test_mistakes_get_one_sentence(
    arguments: list[str], message: str, saved: dict[str, Run], tmp_path: Path
) -> None:
    with pytest.raises(FittingroomError, match=message):
        call("--runs", str(tmp_path / "runs"), *arguments)
