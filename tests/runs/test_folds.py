from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.leaderboard import leaderboard
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import fold_of
from fittingroom.errors import DataError, UsageError
from fittingroom.models.catalog import make_classifier
from fittingroom.runs import folds as module
from fittingroom.runs.fit import fit_catalogue_model
from fittingroom.runs.folds import fit_folds
from fittingroom.runs.store import Store, open_store

FOLDS = 3


@pytest.fixture
def store(tmp_path: Path, small: Dataset) -> Store:
    return open_store(tmp_path, small)


def test_each_image_is_predicted_by_the_fit_that_did_not_see_it(
    store: Store, small: Dataset
) -> None:
    told: list[tuple[int, int, float]] = []
    run = fit_folds(store, small, "knn", FOLDS, on_fold=lambda *step: told.append(step))
    part = run.out_of_fold
    assert part is not None
    assert run.test is None
    assert run.validation is None
    fold = fold_of(small.train.labels, FOLDS)
    rows = small.train.images.reshape(len(small.train), -1)
    for number in range(FOLDS):
        knn = make_classifier("knn", dataset=small)
        knn.fit(rows[fold != number], small.train.labels[fold != number])
        expected = knn.predict_proba(rows[fold == number])
        np.testing.assert_allclose(part.probabilities[fold == number], expected, atol=1e-6)
    assert (part.labels == small.train.labels).all()
    assert [(done, folds) for done, folds, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert 0.6 < part.correct.mean() < 0.95
    assert run.record.trained_on == pytest.approx(len(small.train) * (1 - 1 / FOLDS), abs=1)


def test_it_is_saved_once_and_goes_on_after_a_fold(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, fits = module.predicted, 0

    def dies_in_the_second(*arguments: Any) -> Any:
        nonlocal fits
        fits += 1
        if fits == 2:
            raise KeyboardInterrupt
        return predict(*arguments)

    monkeypatch.setattr(module, "predicted", dies_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        fit_folds(store, small, "knn", FOLDS)
    run = fit_folds(store, small, "knn", FOLDS)
    assert fits == 2 + (FOLDS - 1)
    assert fit_folds(store, small, "knn", FOLDS).folder == run.folder
    assert fits == 2 + (FOLDS - 1)
    assert [path.name for path in (store.folder / "knn").iterdir()] == [run.folder.name]


def test_a_damaged_fold_is_made_again(store: Store, small: Dataset) -> None:
    asked = fit_folds(store, small, "knn", FOLDS).record.asked
    part = fit_folds(store, small, "knn", FOLDS).out_of_fold
    assert part is not None
    store.save_fold(asked, 0, part)
    assert store.read_fold(asked, 0) is not None
    (file,) = (store.folder / "knn").glob(".folds-*/0.npz")
    file.write_bytes(file.read_bytes()[:100])
    assert store.read_fold(asked, 0) is None
    assert store.read_fold(asked, 1) is None
    open_store(store.folder.parent, small)  # sweeps what is left of a finished one
    assert not list((store.folder / "knn").glob(".folds-*"))


def test_it_is_no_row_of_the_leaderboard(store: Store, small: Dataset) -> None:
    fit_folds(store, small, "knn", FOLDS)
    fit_catalogue_model(store, small, "random-forest", overrides={"n_estimators": 5})
    assert [row.model for row in leaderboard(store).rows] == ["random-forest[n_estimators=5]"]


def test_a_network_that_chooses_its_epoch_holds_out_of_its_own(
    store: Store, small: Dataset
) -> None:
    run = fit_folds(store, small, "mlp-256-256", 2, overrides={"epochs": 3})
    assert run.record.kept_epoch in (1, 2, 3)
    assert run.out_of_fold is not None


@pytest.mark.parametrize(("folds", "error"), [(1, UsageError), (201, DataError)])
def test_numbers_of_folds_that_make_no_sense(
    store: Store, small: Dataset, folds: int, error: type[Exception]
) -> None:
    with pytest.raises(error, match="folds"):
        fit_folds(store, small, "knn", folds)
