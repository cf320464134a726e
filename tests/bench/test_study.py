from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.bench.study import AVERAGED, Study, _layers, study
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.evaluation import label_quality
from fittingroom.evaluation.calibration import fit_temperature
from fittingroom.evaluation.metrics import accuracy, log_loss
from fittingroom.runs.added import add_predictions
from fittingroom.runs.fit import fit_catalogue_model
from fittingroom.runs.folds import fit_folds
from fittingroom.runs.run import Run
from fittingroom.runs.store import Store, find_store, open_store

NETWORKS = ("mlp-256-256", "swift-90", "cnn-32")


@pytest.fixture(scope="module")
def store(compared_runs: Path) -> Store:
    return find_store(compared_runs)


def test_models_stand_in_the_order_of_the_table(compared: Study) -> None:
    assert list(compared.models) == [row.model for row in compared.board.rows if row.test]
    assert set(compared.models) == {"random-forest", *NETWORKS, "theirs (added)"}


def test_a_model_s_figures_are_those_of_its_runs(compared: Study, store: Store) -> None:
    runs = [run for run in store.runs() if run.record.asked.model == "cnn-32"]
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


def test_temperatures_are_fitted_on_what_nothing_else_looked_at(
    compared: Study, store: Store, small: Dataset
) -> None:
    calibration = compared.models["mlp-256-256"].calibration
    run = next(run for run in store.runs() if run.record.asked.model == "mlp-256-256")
    assert calibration is not None
    assert run.validation is not None
    allowed = validation_split(small.train.labels).calibrate[::2]
    chosen = np.isin(run.validation.index, allowed)
    assert chosen.sum() == len(allowed)
    expected = fit_temperature(run.validation.probabilities[chosen], run.validation.labels[chosen])
    assert calibration.temperature == expected
    assert calibration.before.counts.sum() == calibration.after.counts.sum() == len(small.test)
    assert compared.models["theirs (added)"].calibration is None


def test_the_average_is_chosen_by_validation_alone(compared: Study, store: Store) -> None:
    found = compared.average
    assert found is not None
    assert len(found.weights) == AVERAGED
    assert sum(found.weights.values()) == pytest.approx(1)
    first = {}
    for run in store.runs():
        if run.validation is not None:
            first.setdefault(run.record.asked.model, run.validation)
    scores = {name: accuracy(part.probabilities, part.labels) for name, part in first.items()}
    least = min(scores[name] for name in found.weights)
    assert least >= max(scores[name] for name in set(scores) - set(found.weights))
    mixed = sum(w * first[name].probabilities for name, w in found.weights.items())
    labels = next(iter(first.values())).labels
    best = min(log_loss(first[name].probabilities, labels) for name in found.weights)
    assert log_loss(np.asarray(mixed), labels) <= best
    assert found.ci95[0] < found.accuracy < found.ci95[1]


def test_close_pairs_are_those_that_the_table_cannot_tell_apart(compared: Study) -> None:
    alike = {row.model: row.indistinguishable_from for row in compared.board.rows}
    told = {(p.pair.a, p.pair.b) for p in compared.close_pairs}
    assert told == {(p.a, p.b) for p in compared.board.pairs if p.b in alike[p.a]}
    for pair in compared.close_pairs:
        a, b = (compared.models[name].probabilities for name in (pair.pair.a, pair.pair.b))
        assert (a[pair.broken].argmax(axis=1) == compared.labels[pair.broken]).all()
        assert (b[pair.fixed].argmax(axis=1) == compared.labels[pair.fixed]).all()
        gain = len(pair.fixed) - len(pair.broken)
        assert accuracy(b, compared.labels) - accuracy(a, compared.labels) == pytest.approx(
            gain / len(compared.labels)
        )


def test_doubtful_test_labels_are_found_by_the_others(compared: Study) -> None:
    assert set(compared.sensitivity) == set(compared.models)
    for name, found in compared.sensitivity.items():
        probabilities = compared.models[name].probabilities
        kept = np.setdiff1d(np.arange(len(compared.labels)), found.suspects.positions)
        assert found.accuracy == accuracy(probabilities, compared.labels)
        assert found.without == accuracy(probabilities[kept], compared.labels[kept])


def test_doubtful_training_labels_come_from_the_cross_validation(
    compared: Study, small: Dataset
) -> None:
    found = compared.train_suspects
    assert found is not None
    assert found.models == ("logistic",)
    assert 0 < len(found.suspects) < len(small.train) / 4
    np.testing.assert_array_equal(found.labels, small.train.labels)


def test_without_the_data_set_only_calibration_is_missing(store: Store) -> None:
    found = study(store)
    assert all(model.calibration is None for model in found.models.values())
    assert found.agreement is not None
    assert found.average is not None


def test_the_figures_are_json(compared: Study) -> None:
    plain = json.loads(json.dumps(compared.to_dict(), allow_nan=False))
    assert plain["schema_version"] == 1
    assert [model["model"] for model in plain["models"]] == list(compared.models)
    assert set(plain["label_quality"]["test"]) == set(compared.models)


def test_a_history_that_somebody_changed_costs_its_row_alone(
    compared_runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(compared_runs, tmp_path / "runs")
    store = find_store(tmp_path / "runs")
    run = next(run for run in store.runs() if run.record.asked.model == "cnn-32")
    (run.folder / "history.csv").write_text("epoch,train_loss\none,two\n", "utf8")
    found = study(store)
    rows = {row.model: row for row in found.board.rows}
    assert rows["cnn-32"].status == "unreadable"
    assert rows["cnn-32"].reason == f"{run.folder / 'history.csv'} was changed after it was saved."
    assert "swift-90" in found.models


def test_labels_that_every_model_contradicts_are_not_single_doubtful_ones(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_quality, "find_spec", lambda name: None)  # cleanlab leaves some
    store = open_store(tmp_path, small)
    wrong = 0.9 * np.eye(10)[(small.test.labels + 1) % 10] + 0.01
    for name, flatter in (("one", 1), ("other", 2)):
        mixed = (wrong + 0.1 * (flatter - 1)) / (wrong + 0.1 * (flatter - 1)).sum(1, keepdims=True)
        np.savez(tmp_path / "theirs.npz", probabilities=mixed)
        add_predictions(store, small, name, tmp_path / "theirs.npz", as_is=True)
    found = study(store)
    assert found.sensitivity == {}
    assert "NaN" not in json.dumps(found.to_dict(), allow_nan=False)


def test_a_damaged_cross_validation_costs_no_page(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    fit_catalogue_model(store, small, "knn", keep_model=False)
    for model in ("knn", "logistic"):
        fit_folds(store, small, model, 3)
    whole = study(store).train_suspects
    assert whole is not None
    assert len(whole.models) == 2
    run = next(run for run in store.runs("knn") if run.record.asked.folds)
    (run.folder / "predictions.npz").write_bytes(b"no")
    left = study(store).train_suspects
    assert left is not None
    assert left.models == ("logistic",)


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
def test_layers_of_a_record_are_modest(
    compared_runs: Path, tmp_path: Path, changed: dict[str, object]
) -> None:
    """A record says what was fitted, and a stranger may have written it."""
    shutil.copytree(compared_runs, tmp_path / "runs")
    store = find_store(tmp_path / "runs")
    run = next(run for run in store.runs() if run.record.asked.model == "mlp-256-256")
    parameters = {**run.record.asked.parameters, **changed}
    record = replace(run.record, asked=replace(run.record.asked, parameters=parameters))
    began = time.perf_counter()
    assert _layers(Run(run.folder, record), 10) == ()
    assert time.perf_counter() - began < 5
