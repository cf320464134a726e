from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpu
import pytest
import seed_spread
import torch

from fittingroom.bench import fit_one
from fittingroom.bench.fit_one import fit_spec
from fittingroom.bench.progress import Progress
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.errors import TrainingError, UnknownNameError
from fittingroom.execution.job import Limits
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import RunSpec, spec_of
from fittingroom.runs.store import open_store

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_saved_run_is_found(tmp_path: Path, small_folder: Path) -> None:
    steps: list[Progress] = []
    options: dict[str, Any] = {"runs": tmp_path, "on_progress": steps.append}
    first = fit_one.fit(small_folder, "knn", **options)
    again = fit_one.fit(small_folder, "knn", **options)
    assert again.folder == first.folder
    assert [step.kind for step in steps] == ["started", "saved", "saved"]

    # If nothing has to be fitted, a saved classical model is found without importing torch.
    script = """
import sys
from fittingroom.bench.fit_one import fit, fit_spec
run = fit(sys.argv[1], "knn", runs=sys.argv[2])
print(run.folder, *({"torch", "numba"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(small_folder), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(first.folder)]


@pytest.mark.slow
def test_a_failure_leaves_no_run(tmp_path: Path, small_folder: Path) -> None:
    options: dict[str, Any] = {"runs": tmp_path, "on_progress": lambda _: None}
    with pytest.raises(TrainingError, match="was not fitted"):
        fit_one.fit(small_folder, "mlp-256-256", settings={"learning_rate": 1e30}, **options)
    with pytest.raises(TrainingError, match="n_neighbors is 1801, but there are only 1800 train"):
        fit_one.fit(small_folder, "knn", settings={"n_neighbors": 1801}, **options)
    with pytest.raises(UnknownNameError):
        fit_one.fit(small_folder, "mlp-256-255", **options)
    loaded = load_dataset(small_folder)
    spec, store = spec_of(loaded, "mlp-10-10"), open_store(tmp_path, loaded)
    with pytest.raises(TrainingError, match="needed more than 100 MiB of memory"):
        fit_spec(spec, loaded, store, limits=Limits(memory=100 * 2**20))
    assert not list(tmp_path.glob("*/*/*/run.json"))


def test_a_fit_that_can_not_have_enough_memory_is_not_started(
    tmp_path: Path, small: Dataset
) -> None:
    store, limits = open_store(tmp_path, small), Limits(memory=1_000_000)
    with pytest.raises(
        TrainingError, match=r"^knn was not fitted: 2,000 training images take it at least .*\.$"
    ):
        fit_spec(spec_of(small, "knn"), small, store, limits=limits)
    assert not store.runs()
    saved = fit(spec_of(small, "knn"), small, store, keep_model=False)
    assert fit_spec(spec_of(small, "knn"), small, store, limits=limits).folder == saved.folder


def test_a_long_fit_is_announced_before_it_starts(
    tmp_path: Path, small: Dataset, caplog: pytest.LogCaptureFixture, scripted: Callable[..., Any]
) -> None:
    caplog.set_level("INFO", "fittingroom")
    store, spec = open_store(tmp_path, small), spec_of(small, "wide-resnet")
    sentence = "wide-resnet on 2,000 images is expected to take about 1 h 51 min."
    with scripted(lambda _: [0.9]):
        fit_spec(spec, small, store)
        assert sentence in caplog.messages
        caplog.clear()
        fit_spec(spec, small, store)  # which is saved
    assert caplog.messages == []


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the whole catalogue; FITTINGROOM_SLOW_RUNS resumes from saved ones."""
    return Path(os.environ.get("FITTINGROOM_SLOW_RUNS") or tmp_path_factory.mktemp("catalogue"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "case", seed_spread.CASES, ids=lambda case: case.model + ("-full" if case.full else "")
)
def test_the_whole_catalogue_at_full_size(case: seed_spread.Case, runs: Path) -> None:
    ((run,),) = seed_spread.fit([case], runs, seeds=1)
    assert run.test is not None
    accuracy = float(run.test.correct.mean())
    assert case.holds(accuracy, 1), accuracy


def test_the_gpu_benchmark_reports_a_missing_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu.py", "--out", str(tmp_path / "gpu.json")])
    with pytest.raises(SystemExit, match="there is no CUDA device here"):
        gpu.main()
    assert not list(tmp_path.iterdir())


def test_the_gpu_benchmark_summarises_saved_fits(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU: only the `device` setting differs."""

    def on_cpu(spec: RunSpec, *arguments: Any, **options: Any) -> Any:
        assert spec.settings == {"device": "cuda"}
        here = spec_of(small, spec.model, settings={"device": "cpu"}, seed=spec.seed, full=True)
        return fit(here, *arguments, **options)

    monkeypatch.setattr(gpu, "fit", on_cpu)
    store = open_store(tmp_path, small)
    fits = [gpu.figures_of(store, small, "swift-90", seed) for seed in (0, 1)]
    assert gpu.figures_of(store, small, "swift-90", 1) == fits[1]
    (figures,) = gpu.summary(fits).values()
    accuracies = [row["accuracy"] for row in fits]
    assert figures["seeds"] == 2
    assert figures["accuracy_mean"] == pytest.approx(sum(accuracies) / 2, abs=1e-5)
    assert figures["accuracy_sd"] > 0
    assert 0 < figures["fit_seconds_median"] < 60
