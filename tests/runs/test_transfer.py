from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError
from fittingroom.runs.fit import fit
from fittingroom.runs.run import Run
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store, open_store
from fittingroom.runs.transfer import pack, unpack


@pytest.fixture(scope="module")
def store(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = open_store(tmp_path_factory.mktemp("runs"), small)
    for seed in (0, 1):
        fit(spec_of(small, "mlp-10-10", settings={"epochs": 1}, seed=seed), small, store)
    return store


def files(run: Run) -> dict[str, bytes]:
    found = (path for path in run.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(run.folder)): path.read_bytes() for path in found}


def test_runs_arrive_as_they_were(store: Store, small: Dataset, tmp_path: Path) -> None:
    elsewhere = open_store(tmp_path, small)
    arrived = unpack(pack(store.runs()), elsewhere)
    assert [files(run) for run in elsewhere.runs()] == [files(run) for run in store.runs()]
    assert [run.folder for run in arrived] == [run.folder for run in elsewhere.runs()]
    assert not list(elsewhere.folder.glob(".*"))
    np.testing.assert_array_equal(
        arrived[1].validation.probabilities,  # type: ignore[union-attr]
        store.runs()[1].validation.probabilities,  # type: ignore[union-attr]
    )


def test_models_may_be_left_out(store: Store, small: Dataset, tmp_path: Path) -> None:
    (run,) = unpack(pack(store.runs("mlp-10-10", 1), models=False), open_store(tmp_path, small))
    assert sorted(files(run)) == ["history.csv", "layers.json", "predictions.npz", "run.json"]
    assert run.record.spec.seed == 1


def test_existing_runs_are_kept(store: Store, small: Dataset, tmp_path: Path) -> None:
    elsewhere = open_store(tmp_path, small)
    (first, _) = unpack(pack(store.runs()), elsewhere)
    (first.folder / "history.csv").write_text("its own")
    unpack(pack(store.runs()), elsewhere)
    assert (first.folder / "history.csv").read_text() == "its own"
    assert unpack(pack([]), elsewhere) == []


def parcel_of(**members: bytes) -> bytes:
    parcel = io.BytesIO()
    with zipfile.ZipFile(parcel, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return parcel.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        "../elsewhere",
        "/etc/passwd",
        "mlp-10-10/0123456789ab-s0/../../run.json",
        "mlp-10-10/0123456789ab-s0/model/../../x",
        "mlp-10-10/run.json",
        ".hidden/0123456789ab-s0/run.json",
        "mlp-10-10/0123456789ab-s0/run.json\n",
    ],
)
def test_names_that_lead_elsewhere_are_refused(small: Dataset, tmp_path: Path, name: str) -> None:
    elsewhere = open_store(tmp_path / "runs", small)
    with pytest.raises(StoreError, match="isn't part of a run"):
        unpack(parcel_of(**{name: b"x"}), elsewhere)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["dataset.json"]


def test_other_files_and_other_runs_are_refused(
    store: Store, small: Dataset, tmp_path: Path
) -> None:
    elsewhere = open_store(tmp_path, small)
    (run, _) = store.runs()
    name = f"mlp-10-10/{run.folder.name}"
    content = files(run)
    with pytest.raises(StoreError, match="the received parcel of runs can't be read"):
        unpack(pack([run])[:100], elsewhere)
    with pytest.raises(StoreError, match="can't be read"):
        unpack(parcel_of(**{f"{name}/run.json": b"{}"}), elsewhere)
    other = f"knn/{run.folder.name}/run.json"
    with pytest.raises(StoreError, match="is another run"):
        unpack(parcel_of(**{other: content["run.json"]}), elsewhere)
    other_data = replace(run.record, spec=replace(run.record.spec, dataset="0" * 64))
    foreign = other_data.to_json().encode()
    with pytest.raises(StoreError, match="is another run"):
        unpack(parcel_of(**{f"{name}/run.json": foreign}), elsewhere)
    assert elsewhere.runs() == []
    assert not list(elsewhere.folder.glob(".*"))
