from __future__ import annotations

import json
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.cli.main import app
from fittingroom.errors import FittingroomError, TrainingError
from fittingroom.runs.store import find_store

Run = Callable[..., Result]


@pytest.fixture
def run(small_folder: Path) -> Run:
    """Run a command on the small data set, in this process; it must succeed."""

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(app, [*arguments, "--dataset", str(small_folder)])
        if result.exception is not None:
            raise result.exception
        return result

    return run


@pytest.mark.slow
def test_from_a_search_to_a_fit(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("space.toml").write_text('n_neighbors = [1, 5]\nweights = "distance"\n')
    result = run("tune", "knn", "--space", "space.toml", "--sampler", "grid")
    assert "The best of 2 trials of knn has an accuracy of" in result.stdout
    assert "bootstrap bias correction" in result.stdout
    assert "test accuracy" in result.stdout
    assert "[2/2] knn trial 1 seed 0: done in" in result.stderr
    assert ", best 0." in result.stderr
    assert "Trials: 2 finished, of 2." in result.stderr
    (page,) = Path().glob("runs/tune/*/knn-*.html")
    (recipe,) = Path().glob("runs/tune/*/knn-*.best.json")
    assert str(page) in result.stderr
    assert str(recipe) in result.stderr

    # What it wrote is the run that was tested; the trials aren't on the table.
    again = run("fit", "knn", "--settings", str(recipe), "--json")
    assert "already saved" in again.stderr
    assert json.loads(again.stdout)["overrides"]["weights"] == "distance"
    board = leaderboard(find_store("runs"))
    assert (len(board.rows), board.test_reads) == (1, 1)

    # Beside the model's own settings, by the command that it told.
    assert f"fittingroom compare --models knn --settings {recipe}" in result.stdout
    beside = ("--models", "knn", "--settings", str(recipe), "--format", "json", "--json")
    compared = run("compare", *beside)
    labels = [row["model"] for row in json.loads(compared.stdout)["rows"]]
    assert sorted(labels) == ["knn", board.rows[0].model]


@pytest.mark.slow
def test_a_last_fit_that_fails_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def fails(*_: object, **__: object) -> None:
        raise TrainingError("it needed more memory.")

    monkeypatch.setattr("fittingroom.bench.tuning.tune.fit_spec", fails)
    with pytest.raises(SystemExit) as ended:
        run("tune", "knn", "--set", "n_neighbors=1|3", "--trials", "1")
    assert ended.value.code == 1
    (page,) = Path().glob("runs/tune/*/knn-*.html")
    assert "The final fit with the best settings failed: it needed more memory." in page.read_text()
    assert page.with_suffix(".best.json").exists()


def test_a_search_in_which_no_trial_has_a_figure_is_exit_code_1(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these settings makes sense beside another one, but not beside this."""
    monkeypatch.chdir(tmp_path)
    searched = ("--set", "optimizer=adam|sgd", "--set", "momentum=0.9|0.8", "--sampler", "grid")
    with pytest.raises(SystemExit) as ended:
        run("tune", "mlp-10-10", *searched, "--trials", "1")
    assert ended.value.code == 1
    (page,) = Path().glob("runs/tune/*/mlp-10-10-*.html")
    assert "No trial of mlp-10-10 has a result yet." in page.read_text()
    assert not list(Path().rglob("*.best.json"))


@pytest.mark.slow
def test_a_password_stands_in_no_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database in a file has none; any other option is hidden like one."""
    monkeypatch.chdir(tmp_path)
    typed = ["tune", "knn", "--set", "n_neighbors=1|3", "--trials", "1", "--no-test"]
    typed.append(f"--storage=sqlite:///{tmp_path / 'studies'}?cached_statements=7654321")
    monkeypatch.setattr("sys.argv", ["fittingroom", *typed])
    run(*typed)
    (page,) = Path().glob("runs/tune/*/knn-*.html")
    assert "--no-test '--storage=sqlite:///" in unescape(page.read_text())
    assert "7654321" not in page.read_text()
    assert "7654321" not in page.with_suffix(".json").read_text()


def test_the_range_of_learning_rates(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("tune", "mlp-256-256", "--lr-range", "--json")
    found = json.loads(result.stdout)
    assert found["schema_version"] == 1
    assert 1e-4 < found["suggested"] < 1e-1
    (page,) = Path().glob("runs/tune/*/mlp-256-256.lr-range.html")
    assert "Try a learning rate of" in page.read_text()
    assert str(page) in result.stderr
    assert not list(Path().rglob("run.json"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["kn"], "did you mean knn"),
        (["knn", "--set", "n_neighbors"], "--set takes NAME=VALUE"),
        (["knn", "--set", "n_neighbors=9..1"], "low end must be below"),
        (["knn", "--set", "neighbors=1..9"], "did you mean n_neighbors"),
        (["knn", "--preset", "deep"], "did you mean depth"),
        (["knn", "--preset", "depth"], "unknown parameter of knn"),
        (["knn", "--preset", "depth", "--set", "n_neighbors=1..9"], "give one of them"),
        (["knn", "--sampler", "tp"], "did you mean tpe"),
        (["logistic", "--sampler", "grid"], "can't hold every value of C"),
        (["knn", "--space", "absent.toml"], "absent.toml can't be read: no such file"),
        (["knn", "--storage", "studies"], "must be the URL of a database"),
        (["knn", "--lr-range"], "has no learning rate"),
        (["cnn-32", "--lr-range", "--set", "epochs=1..3"], "doesn't search"),
        (["cnn-32", "--lr-range", "--prune", "--preset", "size"], "leave --prune and --preset out"),
        (["cnn-32", "--lr-range", "--no-test"], "leave --no-test out"),
        (["cnn-32", "--lr-range", "--time-limit", "5m"], "leave --time-limit out"),
        (["knn", "--trials", "0"], "--trials is 0"),
        (["knn", "--time-limit", "soon"], "is not a duration"),
    ],
)
def test_wrong_usage_is_one_sentence(
    small_folder: Path,
    arguments: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["tune", *arguments, "--dataset", str(small_folder)])
    assert isinstance(result.exception, FittingroomError)
    assert result.exception.exit_code == 2
    assert complaint in str(result.exception)


def test_settings_that_do_not_fit_are_refused(small_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "best.json"
    file.write_text('{"model": "cnn-32", "settings": {"epochs": 2}}')
    for arguments, complaint in (
        (["fit", "knn", "--settings", str(file)], "has settings for cnn-32, not for knn"),
        (["fit", "knn", "--settings", str(tmp_path)], "is a folder, not a file; settings are JSON"),
        (["compare", "--settings", str(tmp_path)], "is a folder, not a file; settings are JSON"),
        (["compare", "--suite", "zalando", "--settings", str(file)], "leave --settings out"),
        (["compare", "--suite", "zalando", "--keep-models", "all"], "leave --keep-models out"),
    ):
        result = CliRunner().invoke(app, [*arguments, "--dataset", str(small_folder)])
        assert isinstance(result.exception, FittingroomError)
        assert complaint in str(result.exception)


def test_without_optuna_it_says_what_to_install(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    result = CliRunner().invoke(app, ["tune", "knn", "--dataset", str(small_folder)])
    assert isinstance(result.exception, FittingroomError)
    assert "pip install 'fittingroom[tune]'" in str(result.exception)
