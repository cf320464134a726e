from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.bench.comparison.analysis import Analysis, _layers, analyse
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.evaluation.calibration import at_temperature, fit_temperature
from fittingroom.evaluation.conformal import (
    class_quantiles,
    conformal_quantile,
    prediction_sets,
    set_coverage,
)
from fittingroom.evaluation.metrics import accuracy
from fittingroom.runs.fit import fit
from fittingroom.runs.run import Run
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store, find_store, open_store

NETWORKS = ("mlp-256-256", "swift-90", "cnn-32")


@pytest.fixture(scope="module")
def store(compared_runs: Path) -> Store:
    return find_store(compared_runs)


def test_models_are_in_the_order_of_the_table(compared: Analysis) -> None:
    assert list(compared.models) == [row.model for row in compared.board.rows if row.test]
    assert set(compared.models) == {"random-forest", *NETWORKS, "theirs (added)"}


def test_the_figures_of_a_model_are_those_of_its_runs(compared: Analysis, store: Store) -> None:
    runs = [run for run in store.runs() if run.record.spec.model == "cnn-32"]
    model = compared.models["cnn-32"]
    assert runs[0].test is not None
    np.testing.assert_array_equal(model.probabilities, runs[0].test.probabilities)
    scores = [accuracy(run.test.probabilities, run.test.labels) for run in runs if run.test]
    assert model.report.accuracy == pytest.approx(np.mean(scores))
    assert model.kept_epoch == runs[0].record.kept_epoch
    assert [row.epoch for row in model.history] == list(range(1, 11))
    assert model.history[-1].validation_accuracy is not None
    assert model.layers[0].kind == "Stem"
    assert compared.models["random-forest"].history == ()
    assert compared.models["random-forest"].layers == ()


def test_temperatures_are_fitted_on_images_that_choose_nothing_else(
    compared: Analysis, store: Store, small: Dataset
) -> None:
    calibration = compared.models["mlp-256-256"].calibration
    run = next(run for run in store.runs() if run.record.spec.model == "mlp-256-256")
    assert calibration is not None
    assert run.validation is not None
    allowed = validation_split(small.train.labels).calibration[::2]
    chosen = np.isin(run.validation.index, allowed)
    assert chosen.sum() == len(allowed)
    expected = fit_temperature(run.validation.probabilities[chosen], run.validation.labels[chosen])
    assert calibration.temperature == expected
    assert calibration.before.counts.sum() == calibration.after.counts.sum() == len(small.test)
    assert compared.models["theirs (added)"].calibration is None


def test_prediction_sets_are_those_of_the_bundle(
    compared: Analysis, store: Store, small: Dataset
) -> None:
    """The quantile comes from the images that the temperature wasn't fitted on."""
    calibration = compared.models["mlp-256-256"].calibration
    run = next(run for run in store.runs() if run.record.spec.model == "mlp-256-256")
    assert calibration is not None
    assert run.validation is not None
    others = run.validation.among(validation_split(small.train.labels).calibration[1::2])
    quantile = conformal_quantile(
        at_temperature(others.probabilities, calibration.temperature), others.labels
    )
    tested = at_temperature(compared.models["mlp-256-256"].probabilities, calibration.temperature)
    expected = set_coverage(prediction_sets(tested, quantile), compared.labels)
    assert calibration.sets.to_dict() == expected.to_dict()
    assert calibration.class_sets is None, "of 50 images a class has five"


def test_sets_are_class_conditional_if_each_class_has_enough_images(
    small: Dataset, tmp_path: Path
) -> None:
    """With two classes, each has 25 of the 50 images that set the thresholds."""
    halves = [replace(part, labels=part.labels % 2) for part in (small.train, small.test)]
    two = replace(small, train=halves[0], test=halves[1], class_names=("even", "odd"))
    store = open_store(tmp_path, two)
    run = fit(spec_of(two, "knn"), two, store, keep_model=False)
    calibration = analyse(store, two).models["knn"].calibration
    assert calibration is not None
    assert calibration.class_sets is not None
    assert run.validation is not None
    assert run.test is not None
    others = run.validation.among(validation_split(two.train.labels).calibration[1::2])
    quantiles = class_quantiles(
        at_temperature(others.probabilities, calibration.temperature), others.labels
    )
    tested = at_temperature(run.test.probabilities, calibration.temperature)
    assert quantiles is not None
    expected = set_coverage(prediction_sets(tested, quantiles), run.test.labels)
    assert calibration.class_sets.to_dict() == expected.to_dict()


def test_close_pairs_are_those_that_the_table_cannot_tell_apart(compared: Analysis) -> None:
    indistinguishable = {row.model: row.indistinguishable_from for row in compared.board.rows}
    pairs = {(p.pair.a, p.pair.b) for p in compared.close_pairs}
    assert pairs == {(p.a, p.b) for p in compared.board.pairs if p.b in indistinguishable[p.a]}
    for pair in compared.close_pairs:
        a, b = (compared.models[name].probabilities for name in (pair.pair.a, pair.pair.b))
        assert (a[pair.broken].argmax(axis=1) == compared.labels[pair.broken]).all()
        assert (b[pair.fixed].argmax(axis=1) == compared.labels[pair.fixed]).all()
        gain = len(pair.fixed) - len(pair.broken)
        assert accuracy(b, compared.labels) - accuracy(a, compared.labels) == pytest.approx(
            gain / len(compared.labels)
        )


def test_the_analysis_needs_no_data_set(compared: Analysis, store: Store) -> None:
    assert analyse(store).to_dict() == compared.to_dict()
    assert any(model.calibration for model in compared.models.values())


def test_the_data_set_gives_the_halves_of_old_runs(
    compared: Analysis, compared_runs: Path, small: Dataset, tmp_path: Path
) -> None:
    """Version 0.1 saved neither the halves nor hashes."""
    shutil.copytree(compared_runs, tmp_path / "runs")
    store = find_store(tmp_path / "runs")
    for run in store.runs():
        with np.load(run.folder / "predictions.npz") as file:
            arrays = {name: file[name] for name in file.files if name != "validation_selection"}
        np.savez(run.folder / "predictions.npz", **arrays)
        (run.folder / "run.json").write_text(replace(run.record, files=None).to_json(), "utf8")
    analysis = analyse(store)
    assert all(model.calibration is None for model in analysis.models.values())
    assert analysis.agreement is not None
    assert analysis.average is None
    assert analyse(store, small).to_dict() == compared.to_dict()


def test_the_figures_are_json(compared: Analysis) -> None:
    plain = json.loads(json.dumps(compared.to_dict(), allow_nan=False))
    assert plain["schema_version"] == 2
    assert [model["model"] for model in plain["models"]] == list(compared.models)
    assert set(plain["label_quality"]["test"]["accuracy"]) == set(compared.models)
    assert compared.agreement is not None
    assert plain["agreement"] == json.loads(json.dumps(compared.agreement.to_dict()))
    assert plain["wrong_for_all"] == compared.wrong_for_all.tolist() != []
    assert compared.train_suspects is not None
    assert plain["label_quality"]["train"]["models"] == list(compared.train_suspects.models)


def test_a_changed_history_costs_only_its_row(compared_runs: Path, tmp_path: Path) -> None:
    shutil.copytree(compared_runs, tmp_path / "runs")
    store = find_store(tmp_path / "runs")
    run = next(run for run in store.runs() if run.record.spec.model == "cnn-32")
    (run.folder / "history.csv").write_text("epoch,train_loss\none,two\n", "utf8")
    analysis = analyse(store)
    rows = {row.model: row for row in analysis.board.rows}
    assert rows["cnn-32"].status == "unreadable"
    assert rows["cnn-32"].reason == f"{run.folder / 'history.csv'} was changed after it was saved."
    assert "swift-90" in analysis.models


@pytest.mark.parametrize(
    "changed",
    [
        {"net_options": {"hidden": [300_000, 300_000]}},
        {"net": "wide-resnet", "net_options": {"depth": 60_000_004}},
        {"net": "cnn", "net_options": {"features": [128, "pool"] * 8, "resize": 1024}},
        {"net": "cnn", "net_options": {"resize": 32}, "image_shape": [60_000, 1]},
        {"net_options": {"hidden": [256, 256], "x": 1}},
        {"image_shape": [-28, -28]},
        {"net": "nothing"},
        {"net_options": 3},
        {"image_shape": [10**6, 10**6]},
    ],
)
def test_layers_of_a_record_have_a_limited_size(
    compared_runs: Path, tmp_path: Path, changed: dict[str, object]
) -> None:
    """A record describes the fitted model, and may be untrusted."""
    shutil.copytree(compared_runs, tmp_path / "runs")
    store = find_store(tmp_path / "runs")
    run = next(run for run in store.runs() if run.record.spec.model == "mlp-256-256")
    parameters = {**run.record.spec.parameters, **changed}
    record = replace(run.record, spec=replace(run.record.spec, parameters=parameters))
    began = time.perf_counter()
    assert _layers(Run(tmp_path, record), 10) == ()
    assert time.perf_counter() - began < 5


def test_saved_layers_are_those_of_the_network(compared_runs: Path, tmp_path: Path) -> None:
    """A run of an earlier version has none, and they are found by building the network."""
    runs = [run for run in find_store(compared_runs).runs() if run.record.family == "network"]
    assert runs
    for run in runs:
        earlier = Run(tmp_path, run.record)
        assert earlier.layers is None
        assert _layers(run, 10) == _layers(earlier, 10) == run.layers
