"""`fittingroom doctor`: what people paste into a bug report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numba
import optuna
import pytest
from typer.testing import CliRunner

from fittingroom.cli.doctor import EXTRAS
from fittingroom.cli.main import app
from fittingroom.errors import install_command


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder below the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def doctor(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["doctor", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_it_reports_versions_the_machine_fast_paths_folders_and_extras() -> None:
    report = json.loads(doctor("--json"))
    assert list(report) == [
        *("schema_version", "versions", "machine", "fast_paths", "folders", "extras")
    ]
    assert report["versions"]["python"] == sys.version.split()[0]
    assert report["versions"]["numba"] == numba.__version__  # a dependency that no run records
    assert report["versions"]["optuna"] == optuna.__version__  # of an extra
    assert not {"pytest", "sphinx"} & set(report["versions"])
    assert report["machine"]["threads"] >= 1
    assert report["fast_paths"]["compiled_kernels_cached"] >= 0
    assert set(report["extras"]) == set(EXTRAS)
    text = doctor()
    assert f"  python                  {sys.version.split()[0]}\n" in text
    assert "\nfast paths\n" in text


def test_folders_are_shown_without_the_name_of_the_user(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITTINGROOM_DATA", str(place / "my data"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    folders = json.loads(doctor("--json"))["folders"]
    assert folders["FITTINGROOM_DATA"] == "~/my data (not there yet)"
    assert folders["runs"] == "~/project/runs (not there yet)"
    (place / "project" / "runs").mkdir()
    text = doctor()
    assert "~/project/runs\n" in text
    assert "hush" not in text
    assert str(place) not in text


def test_an_extra_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(doctor("--json"))["extras"]["tune"] is True
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = json.loads(doctor("--json"))["extras"]["tune"]
    assert said == f"no; {install_command('tune')} adds fittingroom tune"
