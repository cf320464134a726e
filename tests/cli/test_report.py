"""`fittingroom report` on the command line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fittingroom.cli.main import app
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.errors import FittingroomError, StoreError, UsageError
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store


def call(*arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["report", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_the_page_alone_is_written_elsewhere_and_opened(
    compared_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    before = {path: path.stat().st_mtime_ns for path in compared_runs.rglob("*.*")}
    page = tmp_path / "page.html"
    _, stderr = call(str(compared_runs), "--out", str(page), "--open")
    assert page.read_text("utf8").startswith("<!doctype html>")
    assert "page.html" in stderr
    assert opened == [page.as_uri()]
    assert {path: path.stat().st_mtime_ns for path in compared_runs.rglob("*.*")} == before


def test_files_are_written_into_another_folder(compared_runs: Path, tmp_path: Path) -> None:
    stdout, _ = call(str(compared_runs), "--out", str(tmp_path / "out"), "--format", "md")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "leaderboard.json",
        "leaderboard.md",
    }
    assert "theirs (added)" in stdout


def test_the_table_fits_80_columns_unless_all_are_wanted(
    compared_runs: Path, tmp_path: Path
) -> None:
    def table(*arguments: str) -> list[str]:
        arguments = (*arguments, "--format", "json", "--out", str(tmp_path))
        stdout, _ = call(str(compared_runs), *arguments)
        return stdout.split("\n\n")[1].splitlines()

    narrow, wide = table(), table("--wide")
    assert all(len(line) <= 80 for line in narrow)
    assert "indistinguishable from" in wide[0]
    assert [line.split()[:3] for line in narrow] == [line.split()[:3] for line in wide]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_runs_give_the_table_and_a_remedy(compared_runs: Path) -> None:
    (store,) = (card.parent for card in compared_runs.glob("*/dataset.json"))
    mode = store.stat().st_mode
    store.chmod(0o555)
    try:
        with pytest.raises(StoreError, match="--out PATH writes the files elsewhere"):
            call(str(compared_runs))
    finally:
        store.chmod(mode)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["--open", "--format", "md"], UsageError, "need the page; add html to --format"),
        (["--out", "x.html", "--format", "md"], UsageError, "need the page; add html to --format"),
        (["--out", "absent/x.html"], UsageError, "--out takes a file in an existing folder"),
        (["--out", "absent/x"], StoreError, "absent/x can't be written: no such file or directory"),
    ],
)
def test_mistakes_get_one_sentence(
    arguments: list[str], kind: type[FittingroomError], message: str, compared_runs: Path
) -> None:
    with pytest.raises(kind, match=message):
        call(str(compared_runs), *arguments)


@pytest.mark.parametrize("formats", ["html,csv", "csv"])
def test_a_report_without_the_data_has_no_images(
    some_of: Callable[..., Dataset], tmp_path: Path, formats: str
) -> None:
    some_of({0: 12, 1: 12}, {0: 3, 1: 2}).write_idx(tmp_path / "data")
    dataset = load_dataset(tmp_path / "data")
    store = open_store(tmp_path / "runs", dataset)
    fit(spec_of(dataset, "knn"), dataset, store, keep_model=False)
    shutil.rmtree(tmp_path / "data")
    stdout, stderr = call(str(tmp_path / "runs"), "--format", formats, "--json")
    assert [row["model"] for row in json.loads(stdout)["rows"]] == ["knn"]
    missing = "can't be found any more; the page has no images."
    assert (missing in stderr) is ("html" in formats)
    assert (store.folder / "report.html").exists() is ("html" in formats)
    assert (store.folder / "leaderboard.csv").exists()
