from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from fittingroom import compare
from fittingroom.bench.comparison.entrant import Entrant
from fittingroom.bench.progress import Progress
from fittingroom.data.dataset import Dataset
from fittingroom.errors import UnknownNameError, UsageError
from fittingroom.runs.store import find_store

SMALL = Path(__file__).parents[2] / "data" / "fashion-mnist-small"
TIMINGS = ("fit_seconds", "predict_us_per_image")


def without_timings(text: str) -> dict[str, Any]:
    board = json.loads(text)
    for row in board["rows"]:
        for name in TIMINGS:
            del row[name]
    return board  # type: ignore[no-any-return]


def test_only_missing_runs_are_fitted(tmp_path: Path, small: Dataset) -> None:
    steps: list[Progress] = []
    models = ["knn", "mlp-256-256"]
    first = compare(small, models, n_seeds=2, runs=tmp_path, on_progress=steps.append)
    assert [s.model for s in steps if s.kind == "started"] == ["knn", *["mlp-256-256"] * 2]
    assert steps[-1].done == steps[-1].total == 3
    assert [row.seeds for row in sorted(first.rows, key=lambda r: r.model)] == [1, 2]

    steps.clear()
    again = compare(small, models, n_seeds=2, runs=tmp_path, on_progress=steps.append)
    assert [s.kind for s in steps] == ["saved"] * 3
    assert again.to_json() == first.to_json()

    steps.clear()
    compare(small, models, n_seeds=3, runs=tmp_path, on_progress=steps.append)
    assert [(s.model, s.seed) for s in steps if s.kind == "started"] == [("mlp-256-256", 2)]

    looks = json.loads((find_store(tmp_path).folder / "comparison.json").read_text())["looks"]
    assert [sorted(look.values()) for look in looks] == [[1, 2], [1, 3]], "each once"


@pytest.mark.slow
def test_parallel_fits_give_the_same_as_sequential_ones(
    tmp_path: Path, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    own = {"mine": KNeighborsClassifier(3), "knn": "knn", "mlp-256-256": "mlp-256-256"}
    boards, orders = [], []
    for on in ("local:1", "local:2"):
        steps: list[Progress] = []
        board = compare(small, own, n_seeds=2, runs=tmp_path / on, on=on, on_progress=steps.append)
        boards.append(without_timings(board.to_json()))
        orders.append([(s.model, s.seed) for s in steps if s.kind == "started"])
        assert sorted((s.model, s.seed) for s in steps if s.kind == "saved") == sorted(orders[0])
        assert steps[-1].done == steps[-1].total == 4
    assert boards[0] == boards[1]
    assert orders[0] == orders[1]


def test_a_model_that_fails_is_a_row_and_the_others_finish(tmp_path: Path, small: Dataset) -> None:
    class Failing(LogisticRegression):  # type: ignore[misc]
        def fit(self, X: np.ndarray, y: np.ndarray) -> Failing:
            raise RuntimeError("no idea\nand more lines")

    class Nan(LogisticRegression):  # type: ignore[misc]
        def fit(self, X: np.ndarray, y: np.ndarray) -> Nan:
            self.classes_ = np.unique(y)
            return self

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return np.full((len(X), 10), np.nan)

    board = compare(
        small,
        {"failing": Failing(), "nan": Nan(), "neighbours": KNeighborsClassifier()},
        n_seeds=2,
        runs=tmp_path,
    )
    rows = {row.model: row for row in board.rows}
    assert (rows["failing"].status, rows["failing"].reason) == ("failed", "RuntimeError: no idea")
    assert rows["nan"].status == "nan"
    assert rows["neighbours"].rank == (1, 1)
    assert not board.complete


def test_a_model_that_would_take_too_long_is_listed_with_the_reason(
    tmp_path: Path, small: Dataset
) -> None:
    steps: list[Progress] = []
    board = compare(
        small,
        ["cnn-16-32-64-128", "knn"],
        n_seeds=1,
        runs=tmp_path,
        time_limit=100,
        on_progress=steps.append,
    )
    row = board.rows[-1]
    assert (row.model, row.status) == ("cnn-16-32-64-128", "timeout")
    assert row.reason is not None
    assert "left out: expected to take about" in row.reason
    assert [s.model for s in steps if s.kind == "started"] == ["knn"]


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    def forward(self, x: Any) -> Any:
        return self.layers(x)


def test_own_models_compare_with_the_catalogue(tmp_path: Path, small: Dataset) -> None:
    board = compare(
        small,
        {"mine": KNeighborsClassifier(3), "net": Tiny(), "knn": "knn"},
        n_seeds=2,
        runs=tmp_path,
    )
    assert {row.model for row in board.rows} == {"mine", "net", "knn"}
    assert board.complete
    assert all(row.test and row.test.accuracy > 0.5 for row in board.rows)


def test_a_row_with_other_settings_is_a_model_of_its_own(tmp_path: Path, small: Dataset) -> None:
    nearest = Entrant(name="knn", settings={"n_neighbors": 1})
    board = compare(small, ["knn", nearest, nearest], runs=tmp_path)
    assert {row.model for row in board.rows} == {"knn", "knn[n_neighbors=1]"}
    assert board.complete
    (run,) = [run for run in find_store(tmp_path).runs() if run.record.spec.settings]
    assert run.record.label == nearest.label
    assert run.record.spec.parameters["estimator"]["n_neighbors"] == 1


def test_data_in_memory_reaches_the_child(tmp_path: Path, small: Dataset) -> None:
    arrays = small.train, small.test
    dataset = Dataset.from_arrays(
        *(array for split in arrays for array in (split.images, split.labels)), name="mine"
    )
    board = compare(dataset, ["knn"], runs=tmp_path)
    assert board.complete
    assert board.dataset_name == "mine"


@pytest.mark.slow
def test_models_are_kept_as_requested(tmp_path: Path, small: Dataset) -> None:
    def kept(runs: Path, keep: Any) -> int:
        compare(small, ["mlp-256-256"], n_seeds=2, runs=runs, keep_models=keep)
        return len(list(runs.glob("*/*/*/model/weights.safetensors")))

    assert kept(tmp_path / "all", "all") == 2
    assert kept(tmp_path / "all", "best") == 1
    assert kept(tmp_path / "none", "none") == 0


@pytest.mark.parametrize(
    "models", [[], "qick", ["swfit"], {"../x": Tiny()}, {"knn": Tiny()}, {"a": 3}]
)
def test_objects_that_are_not_models_are_rejected(
    tmp_path: Path, small: Dataset, models: Any
) -> None:
    with pytest.raises((UsageError, UnknownNameError)):
        compare(small, models, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_zero_seeds_are_rejected(tmp_path: Path, small: Dataset) -> None:
    with pytest.raises(UsageError, match="n_seeds is 0"):
        compare(small, ["knn"], n_seeds=0, runs=tmp_path)


COMMAND = [
    *(sys.executable, "-m", "fittingroom.cli.main", "compare", "--dataset", str(SMALL)),
    *("--models", "knn,logistic,mlp-256-256,mlp-10-10", "--seeds", "2"),
]


def started(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        COMMAND,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=dict(os.environ),
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finished_runs(folder: Path) -> set[Path]:
    """All runs under their own names; each must be readable, or this raises."""
    if not list(folder.glob("runs/*/dataset.json")):
        return set()
    runs = find_store(folder / "runs").runs()
    for run in runs:
        assert run.test is not None
        assert len(run.test.correct) == 1000
    return {run.folder for run in runs}


def board_of(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("runs/*/leaderboard.json")
    return without_timings(path.read_text())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_lose_no_finished_run(tmp_path: Path) -> None:
    """`kill -9` the process group at random moments until the comparison is done."""
    reference = tmp_path / "undisturbed"
    reference.mkdir()
    start = time.monotonic()
    assert started(reference).wait() == 0
    seconds = time.monotonic() - start

    moments = random.Random(0)
    kills, comparisons = 0, 0
    while kills < 20:
        folder = tmp_path / f"disturbed-{comparisons}"
        folder.mkdir()
        finished: set[Path] = set()
        while kills < 20 and len(finished) < 6:
            process = started(folder)
            time.sleep(moments.uniform(0.3, 0.9) * seconds)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
            runs = finished_runs(folder)
            assert runs >= finished
            finished = runs
        assert started(folder).wait() == 0
        assert finished_runs(folder) >= finished
        assert board_of(folder) == board_of(reference)
        assert not list(folder.glob("runs/*/.partial-*"))
        comparisons += 1
    assert comparisons > 1


@pytest.mark.slow
def test_ctrl_c_keeps_finished_runs(tmp_path: Path) -> None:
    process = started(tmp_path)
    deadline = time.monotonic() + 60
    while not finished_runs(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=10) == 130
    assert finished_runs(tmp_path)
    store = find_store(tmp_path / "runs")
    statuses = {
        e["status"] for e in json.loads((store.folder / "comparison.json").read_text())["entries"]
    }
    assert statuses <= {"ok", "interrupted"}


def test_an_unreadable_run_is_a_row_and_stays_in_place(tmp_path: Path, small: Dataset) -> None:
    compare(small, ["knn", "logistic"], n_seeds=1, runs=tmp_path, keep_models="none")
    run = next(tmp_path.glob("*/knn/*"))
    for name, content in (("run.json", "{"), ("predictions.npz", "no")):
        whole = (run / name).read_bytes()
        (run / name).write_text(content)
        steps: list[Progress] = []
        board = compare(
            small, ["knn", "logistic"], n_seeds=1, runs=tmp_path, on_progress=steps.append
        )
        rows = {row.model: row for row in board.rows}
        assert (rows["knn"].status, rows["logistic"].status) == ("unreadable", "ok")
        assert name in (rows["knn"].reason or "")
        assert not [step for step in steps if step.kind == "started"]
        assert (run / name).read_text() == content
        (run / name).write_bytes(whole)
