from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.errors import StoreError
from fittingroom.runs.run import Run, RunRecord, environment, read_run
from fittingroom.runs.spec import RunSpec

SPEC = RunSpec(
    dataset="ab" * 32, model="knn", parameters={"k": 5}, settings={"n_neighbors": 5}, seed=1
)
RECORD = RunRecord(
    spec=SPEC,
    family="classical",
    deterministic=True,
    trained_on=54_000,
    environment={"python": "3.11"},
)


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(RECORD.to_json())
    assert read_run(tmp_path).record == RECORD


#: As version 0.1 wrote it, to the byte.
WRITTEN = """{
  "asked": {
    "dataset": "abababababababababababababababababababababababababababababababab",
    "folds": 0,
    "full": false,
    "model": "knn",
    "parameters": {
      "k": 5
    },
    "protocol": null,
    "reads_test": true,
    "seed": 1
  },
  "deterministic": true,
  "device": null,
  "engine": null,
  "environment": {
    "python": "3.11"
  },
  "family": "classical",
  "files": null,
  "fit_seconds": null,
  "kept_epoch": null,
  "model_bytes": null,
  "overrides": {
    "n_neighbors": 5
  },
  "parameters": null,
  "peak_memory_bytes": null,
  "precision": null,
  "predict_us_per_image": null,
  "schema_version": 1,
  "sha256": "5809c06abdf0bbfd20cdaeae3792d932e709ed240733ccfd059e94f4845723ee",
  "test_labels_sha256": null,
  "trained_on": 54000
}
"""


def test_a_record_is_written_in_the_words_of_version_0_1(tmp_path: Path) -> None:
    """So that each version reads the runs of the other."""
    assert RECORD.to_json() == WRITTEN
    assert RunRecord.from_json(WRITTEN) == RECORD
    # without what that version's runs may lack
    older = json.loads(WRITTEN)
    for name in ("sha256", "files", "test_labels_sha256"):
        del older[name]
    for name in ("folds", "protocol"):
        del older["asked"][name]
    (tmp_path / "run.json").write_text(json.dumps(older))
    assert read_run(tmp_path).record == RECORD
    assert read_run(tmp_path).record.spec.key == SPEC.key


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", '{"asked": [], "overrides": {}}', '{"asked": {}, "overrides": {}}'),
        RECORD.to_json().replace('"schema_version": 1', '"schema_version": 9'),
        RECORD.to_json().replace('"seed": 1', '"seed": 2'),
        RECORD.to_json().replace('"n_neighbors": 5', '"n_neighbors": 6'),
    ],
)
def test_a_damaged_record_is_refused_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(StoreError, match=r"run\.json can't be read: ") as refusal:
        read_run(tmp_path)
    assert "\n" not in str(refusal.value)


def test_damaged_predictions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(RECORD.to_json())
    (tmp_path / "predictions.npz").write_bytes(b"not a zip file")
    with pytest.raises(StoreError, match="predictions"):
        _ = read_run(tmp_path).test


@pytest.mark.parametrize(
    "selection",
    [np.ones(8, np.int64), np.arange(7) < 4, np.arange(8) < 1, np.arange(8) < 7, np.array(True)],
)
def test_malformed_halves_are_refused(tmp_path: Path, selection: np.ndarray) -> None:
    arrays = {
        "validation_index": np.arange(8),
        "validation_probabilities": np.full((8, 2), 0.5, np.float32),
        "validation_labels": np.arange(8) % 2,
    }
    (tmp_path / "run.json").write_text(RECORD.to_json())
    np.savez(tmp_path / "predictions.npz", **arrays, validation_selection=np.arange(8) < 4)  # type: ignore[arg-type]
    part = read_run(tmp_path).validation
    assert part is not None
    assert part.selection is not None
    assert part[part.selection].index.tolist() == [0, 1, 2, 3]
    np.savez(tmp_path / "predictions.npz", **arrays, validation_selection=selection)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="halves"):
        _ = read_run(tmp_path).validation


def test_labels_show_settings_and_added_runs() -> None:
    assert RECORD.label == SPEC.label == "knn[n_neighbors=5]"
    assert replace(RECORD, family="added").label == "knn[n_neighbors=5] (added)"


def test_the_environment_is_plain() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["processor"]
    assert found["torch"] != "absent"


@pytest.mark.parametrize(
    "text",
    [
        "[3]",
        '[{"name": "0", "kind": "Linear", "output_shape": [0], "parameters": 1}]',
        '[{"name": "0", "kind": "Linear", "output_shape": [10], "parameters": 1.5}]',
        json.dumps([{"name": "0", "kind": "Linear", "output_shape": [1], "parameters": 1}] * 1001),
    ],
)
def test_layers_that_no_network_has_are_refused(tmp_path: Path, text: str) -> None:
    assert Run(tmp_path, RECORD).layers is None
    (tmp_path / "layers.json").write_text(text)
    with pytest.raises(StoreError, match=r"layers\.json"):
        _ = Run(tmp_path, RECORD).layers
