from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset

if TYPE_CHECKING:
    from fittingroom.bench.study import Study

SMALL = Path(__file__).parent / "data" / "fashion-mnist-small"


@pytest.fixture(scope="session")
def small() -> Dataset:
    """3,000 real images of Fashion-MNIST: 200 a class to train on, 100 a class to test."""
    return load_dataset(SMALL)


@pytest.fixture(scope="session")
def compared_runs(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saved runs of a real comparison: a forest, three networks, labels added from elsewhere.

    Beside them a cross-validation. Not to be changed.
    """
    from fittingroom.bench.compare import compare
    from fittingroom.runs.added import add_predictions
    from fittingroom.runs.folds import fit_folds
    from fittingroom.runs.store import open_store

    folder = tmp_path_factory.mktemp("compared")
    models = ["random-forest", "mlp-256-256", "swift-90", "cnn-32"]
    compare(small, models, seeds=2, runs=folder, keep_models="none")
    store = open_store(folder, small)
    np.savez(folder / "theirs.npz", labels=np.zeros(len(small.test), int))
    add_predictions(store, small, "theirs", folder / "theirs.npz")
    fit_folds(store, small, "logistic", 3)
    return folder


@pytest.fixture(scope="session")
def compared(compared_runs: Path, small: Dataset) -> Study:
    """The study of that comparison."""
    from fittingroom.bench.study import study
    from fittingroom.runs.store import find_store

    return study(find_store(compared_runs), small)


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a person would, in an empty folder."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fittingroom.cli.main", *arguments],
            cwd=options.pop("cwd", tmp_path),
            env={**os.environ, "COLUMNS": "200", **options.pop("env", {})},  # type: ignore[dict-item]
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            **options,  # type: ignore[call-overload]
        )

    return run
