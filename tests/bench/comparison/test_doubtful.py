from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.bench.comparison.analysis import Analysis, analyse
from fittingroom.bench.comparison.doubtful import Sensitivity, sensitivity_of, train_suspects_of
from fittingroom.data.dataset import Dataset
from fittingroom.evaluation import label_quality
from fittingroom.evaluation.agreement import average
from fittingroom.evaluation.metrics import accuracy, balanced_accuracy
from fittingroom.runs.external import add_predictions
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store


def test_doubtful_test_labels_are_the_same_for_every_model(compared: Analysis) -> None:
    sensitivity = compared.sensitivity
    assert sensitivity is not None
    assert set(sensitivity.accuracy) == set(sensitivity.without) == set(compared.models)
    kept = np.setdiff1d(np.arange(len(compared.labels)), sensitivity.doubtful)
    assert 0 < len(sensitivity.doubtful) < len(compared.labels)
    for name, model in compared.models.items():
        others = [m.probabilities for label, m in compared.models.items() if label != name]
        doubted = label_quality.label_suspects(average(others), compared.labels).positions
        assert set(sensitivity.doubtful) <= set(doubted), "no model is needed to doubt them"
        assert sensitivity.accuracy[name] == accuracy(model.probabilities, compared.labels)
        assert sensitivity.without[name] == accuracy(
            model.probabilities[kept], compared.labels[kept]
        )


def test_doubtful_training_labels_come_from_the_cross_validation(
    compared: Analysis, small: Dataset
) -> None:
    train_suspects = compared.train_suspects
    assert train_suspects is not None
    assert train_suspects.models == ("logistic",)
    assert 0 < len(train_suspects.suspects) < len(small.train) / 4
    np.testing.assert_array_equal(train_suspects.labels, small.train.labels)


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
    analysis = analyse(store)
    assert analysis.sensitivity is None
    assert "NaN" not in json.dumps(analysis.to_dict(), allow_nan=False)


def test_a_damaged_cross_validation_is_left_out(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    fit(spec_of(small, "knn"), small, store, keep_model=False)
    for model in ("knn", "logistic"):
        fit(spec_of(small, model, folds=3), small, store)
    whole = analyse(store).train_suspects
    assert whole is not None
    assert len(whole.models) == 2
    run = next(run for run in store.runs("knn") if run.record.spec.folds)
    (run.folder / "predictions.npz").write_bytes(b"no")
    left = analyse(store).train_suspects
    assert left is not None
    assert left.models == ("logistic",)


def test_cross_validations_of_other_labels_are_left_out(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    run = fit(spec_of(small, "knn", folds=3), small, store)
    relabelled = replace(small, train=replace(small.train, labels=small.train.labels[::-1]))
    assert train_suspects_of([run], 10, small) is not None
    assert train_suspects_of([run], 10, relabelled) is None
    assert train_suspects_of([run], 11, None) is None


def test_a_single_model_has_nobody_to_doubt_its_labels(compared: Analysis) -> None:
    (name, model), *_ = compared.models.items()
    assert sensitivity_of({name: model.probabilities}, compared.labels) is None


def test_the_order_changes_if_another_model_is_ahead_without_the_doubtful_labels() -> None:
    before = {"a": 0.9, "b": 0.8}
    for without, changes in (({"a": 0.95, "b": 0.9}, False), ({"a": 0.9, "b": 0.95}, True)):
        assert Sensitivity(np.arange(3), before, without).order_changes is changes


def test_of_unbalanced_classes_accuracies_are_balanced(compared: Analysis) -> None:
    probabilities = {name: model.probabilities for name, model in compared.models.items()}
    kept = (compared.labels != 3) | (np.arange(len(compared.labels)) % 20 == 0)
    labels = compared.labels[kept]
    some = {name: each[kept] for name, each in probabilities.items()}
    found = sensitivity_of(some, labels, balanced=True)
    assert found is not None
    for name, each in some.items():
        assert found.accuracy[name] == balanced_accuracy(each, labels)
