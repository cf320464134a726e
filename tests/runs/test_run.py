from __future__ import annotations

import json
from pathlib import Path

import pytest

from fittingroom.errors import StoreError
from fittingroom.runs.asked import Asked
from fittingroom.runs.run import RunRecord, environment, label, read_run

ASKED = Asked(
    dataset="ab" * 32, model="knn", parameters={"k": 5}, full=False, reads_test=True, seed=1
)
RECORD = RunRecord(
    asked=ASKED,
    overrides={},
    family="classical",
    deterministic=True,
    trained_on=54_000,
    environment={"python": "3.11"},
)


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(RECORD.to_json())
    assert read_run(tmp_path).record == RECORD


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", RECORD.to_json().replace('"schema_version": 1', '"schema_version": 9')],
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


def test_labels_show_what_was_set() -> None:
    assert label("cnn-32", {}) == "cnn-32"
    assert label("cnn-32", {"epochs": 3, "batch_size": 64}) == "cnn-32[batch_size=64,epochs=3]"


def test_the_environment_is_plain() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert found["processor"]
    assert found["torch"] != "absent"
