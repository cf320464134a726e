from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset

SMALL = Path(__file__).parent / "data" / "fashion-mnist-small"


@pytest.fixture(scope="session")
def small() -> Dataset:
    """3,000 real images of Fashion-MNIST: 200 a class to train on, 100 a class to test."""
    return load_dataset(SMALL)


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
