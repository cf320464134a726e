from __future__ import annotations

from pathlib import Path

import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command finds runs of the checkout, such as the demo's."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def run(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a saved run. Not to be changed."""
    store = open_store(tmp_path_factory.mktemp("runs"), small)
    return str(fit(spec_of(small, "logistic"), small, store).folder)
