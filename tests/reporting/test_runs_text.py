"""runs_text.py: saved runs as a table and as facts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.reporting.runs_text import run_facts, runs_table
from fittingroom.runs.fit import fit
from fittingroom.runs.run import read_run
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store, open_store


@pytest.fixture
def store(small: Dataset, tmp_path: Path) -> Store:
    """Runs of a model that was kept, and of one that read no test image and wasn't."""
    store = open_store(tmp_path, small)
    fit(spec_of(small, "mlp-10-10", settings={"epochs": 1}), small, store)
    fit(spec_of(small, "knn", reads_test=False), small, store, keep_model=False)
    return store


def test_the_table_has_a_line_for_each_run(store: Store) -> None:
    knn, network = sorted(store.runs(), key=lambda run: run.record.spec.model)
    table = runs_table([knn, network])
    assert table.startswith(str(store.folder))
    (first, second) = (line for line in table.splitlines() if line.startswith(("knn", "mlp")))
    assert knn.validation is not None
    assert network.test is not None
    assert first.split()[2] == f"{knn.validation.correct.mean():.4f}"
    assert "MB" not in first
    assert f" {network.test.correct.mean():.4f} " in second
    assert second.endswith(" MB")
    assert max(map(len, table.splitlines()[1:])) <= 80


def test_the_runs_of_each_data_set_have_a_table(store: Store, tmp_path: Path) -> None:
    other = shutil.copytree(store.folder, tmp_path / "another")
    runs = [*store.runs(), *Store(other, store.card).runs()]
    first, second = runs_table(runs).split(f"{other}\n")
    assert first.count("knn") == second.count("knn") == 1


def test_facts_of_a_run_whose_predictions_are_damaged(store: Store) -> None:
    (network,) = (run for run in store.runs() if run.record.family == "network")
    facts = run_facts(network)
    assert facts["run"] == network.record.spec.path
    assert facts["model_bytes"] == network.record.model_bytes
    (network.folder / "predictions.npz").write_bytes(b"none")
    damaged = run_facts(read_run(network.folder))
    assert (damaged["validation_accuracy"], damaged["test_accuracy"]) == (None, None)
