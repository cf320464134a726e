from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fittingroom.data.dataset import Dataset

Cli = Callable[..., subprocess.CompletedProcess[str]]


def test_one_command_from_data_to_leaderboard(
    small_folder: Path, run_cli: Cli, tmp_path: Path
) -> None:
    arguments = ("compare", "--models", "knn,mlp-256-256", "--seeds", "2")
    result = run_cli(*arguments, "--dataset", str(small_folder))
    assert result.returncode == 0, result.stderr
    header = result.stdout.splitlines()[2]
    assert header.split()[:4] == ["rank", "model", "test", "accuracy"]
    for model in ("knn", "mlp-256-256"):
        assert model in result.stdout
    assert "[1/3] knn seed 0: fitting" in result.stderr
    assert "\x1b" not in result.stdout + result.stderr  # colours are for terminals
    (board,) = tmp_path.glob("runs/*/leaderboard.json")
    (report,) = tmp_path.glob("runs/*/report.html")
    for path in (board, report):
        assert str(path.relative_to(tmp_path)) in result.stderr
    assert "is the hardest class" in report.read_text()

    # `report` rebuilds the same files from the saved runs.
    texts = board.read_bytes(), report.read_bytes()
    board.unlink()
    report.unlink()
    again = run_cli("report", "runs")
    assert again.returncode == 0, again.stderr
    assert again.stdout == result.stdout
    assert (board.read_bytes(), report.read_bytes()) == texts


@pytest.mark.slow
def test_a_model_over_its_memory_limit_is_a_row_and_exit_code_1(
    small_folder: Path, run_cli: Cli, tmp_path: Path
) -> None:
    result = run_cli(
        *(
            "compare",
            "--models",
            "cnn-64x4,zalando-gaussian-nb",
            "--seeds",
            "1",
            "--dataset",
            str(small_folder),
        ),
        *("--memory-limit", "200M", "--time-limit", "none", "--json"),
    )
    assert result.returncode == 1
    board = json.loads(result.stdout)
    (saved,) = tmp_path.glob("runs/*/leaderboard.json")
    assert board == json.loads(saved.read_text())
    rows = {row["model"]: row for row in board["rows"]}
    assert rows["cnn-64x4"]["status"] == "out-of-memory"
    assert "200 MiB" in rows["cnn-64x4"]["reason"]
    assert "Traceback" not in result.stderr


def test_an_unknown_place_is_wrong_usage(small_folder: Path, run_cli: Cli, tmp_path: Path) -> None:
    result = run_cli(
        "compare", "--models", "knn", "--dataset", str(small_folder), "--on", "local:0"
    )
    assert result.returncode == 2
    assert "--on takes local:N" in result.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_two_data_sets_side_by_side(
    small_folder: Path, run_cli: Cli, tmp_path: Path, small: Dataset
) -> None:
    half = slice(None, None, 2)
    Dataset.from_arrays(
        small.train.images[half],
        small.train.labels[half],
        255 - small.test.images,
        small.test.labels,
        name="negatives",
    ).write_idx(tmp_path / "negatives")
    both = ("--dataset", str(small_folder), "-d", "negatives")
    command = ("compare", "--models", "knn,logistic", *both, "--format", "md,csv")
    result = run_cli(*command)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split()[0] == "model"
    assert {line.split()[0] for line in lines[1:3]} == {"knn", "logistic"}
    assert "Kendall's tau" in lines[4]
    for suffix in ("json", "md", "csv"):
        assert f"runs/side-by-side.{suffix}" in result.stderr
        assert (tmp_path / "runs" / f"side-by-side.{suffix}").exists()

    again = run_cli(*command[:-1], "html", "--json")
    assert again.stderr.count("already saved") == 4
    page = (tmp_path / "runs" / "side-by-side.html").read_text()
    assert "fittingroom compare --models knn,logistic" in page
    sides = json.loads(again.stdout)
    assert sides["schema_version"] == 1
    boards = [json.loads(p.read_text()) for p in tmp_path.glob("runs/*/leaderboard.json")]
    assert len(boards) == 2
    assert all(board in sides["leaderboards"] for board in boards)
    assert [on["dataset"] for on in sides["models"][0]["on"]][1] == "negatives"


def test_a_data_set_named_twice_is_refused(small_folder: Path, run_cli: Cli) -> None:
    result = run_cli("compare", "--models", "knn", "-d", str(small_folder), "-d", str(small_folder))
    assert (result.returncode, result.stdout) == (2, "")
    assert "holds the same data as another --dataset; name it once" in result.stderr


@pytest.mark.slow
def test_part_of_the_makers_benchmark(small_folder: Path, run_cli: Cli, tmp_path: Path) -> None:
    command: tuple[str, ...] = (
        "compare",
        "--suite",
        "zalando",
        "--dataset",
        str(small_folder),
        "--seeds",
        "1",
    )
    command = (*command, "--models", "zalando-gaussian-nb", "--format")
    result = run_cli(*command, "html,md,csv")
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0][:3] == ["classifier", "points", "fitted"]
    assert lines[1][:3] == ["zalando-gaussian-nb", "1", "1"]
    assert lines[14][:2] == ["zalando-gaussian-process", "2"]
    assert "grid points: 1; fits of the selected ones: up to 1" in result.stderr
    assert "Not finished: zalando-extra-tree, zalando-decision-tree" in result.stdout
    assert "zalando-gaussian-process, 2 impractical" in result.stdout
    for name in ("zalando.json", "zalando.html", "zalando.md", "zalando.csv", "report.html"):
        assert list(tmp_path.glob(f"runs/*/{name}")), name

    again = run_cli(*command, "json", "--json")
    assert again.stderr.count("already saved") == 2
    benchmark = json.loads(again.stdout)
    (file,) = tmp_path.glob("runs/*/zalando.json")
    assert benchmark == json.loads(file.read_text())
    assert len(benchmark["leaderboard"]["rows"]) == 1


@pytest.mark.slow
def test_the_table_is_shown_even_if_the_page_fails(
    run_cli: Cli, tmp_path: Path, some_of: Callable[..., Dataset]
) -> None:
    data = some_of({0: 12, 1: 12}, {0: 3, 1: 2})
    data.write_idx(tmp_path / "some")
    folder = tmp_path / "runs" / f"some-{data.sha256[:8]}"
    (folder / "report.html").mkdir(parents=True)
    command = ("compare", "-m", "knn", "--seeds", "1", "-d", "some", "--format", "html,md,csv,json")
    result = run_cli(*command)
    assert result.returncode == 1
    title, _, head, row = result.stdout.splitlines()[:4]
    assert title.startswith("some: 5 test images; ")
    assert head.split()[:2] == ["rank", "model"]
    assert row.split()[:2] == ["1", "knn"]
    assert "Traceback" not in result.stderr
    assert "report.html can't be written" in result.stderr.splitlines()[-1]
    assert json.loads((folder / "leaderboard.json").read_text())["rows"][0]["model"] == "knn"

    (folder / "report.html").rmdir()
    again = run_cli(*command)
    assert again.returncode == 0, again.stderr
    assert again.stdout == result.stdout
    assert "<h2>Test images</h2>" in (folder / "report.html").read_text()
