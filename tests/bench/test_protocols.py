from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fittingroom.bench.arms import Setting
from fittingroom.bench.leaderboard import leaderboard
from fittingroom.bench.protocols import fit_as_used, split_as_used
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import find_again
from fittingroom.errors import TrainingError, UsageError
from fittingroom.runs.fit import fit_catalogue_model
from fittingroom.runs.run import Run
from fittingroom.runs.store import Store, open_store

FASHION_MNIST = "113e73cdb8cbafcde2b04d780350dbc3a49243dd192cd3b417c104123e7efe07"
OFFICIAL = {"kind": "official", "test": None, "validation": None, "seed": None}
POOLED = {"kind": "pooled", "test": 0.2, "validation": 0.1, "seed": 0}


def held_out(share: float, seed: int) -> dict[str, Any]:
    return {**OFFICIAL, "validation": share, "seed": seed}


@pytest.fixture
def store(tmp_path: Path, small: Dataset) -> Store:
    return open_store(tmp_path, small)


def fit(
    store: Store,
    small: Dataset,
    model: str,
    *notes: str,
    split: dict[str, Any] = OFFICIAL,
    until: dict[str, Any] | None = None,
    seed: int = 0,
    **parameters: Any,
) -> Run:
    protocol = {"notes": list(notes), "split": split, "until": until}
    setting = Setting(model=model, parameters=parameters, protocol=protocol)
    classifier, asked = setting.asked(small, seed)
    return fit_as_used(store, small, classifier, asked, overrides=parameters)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """Those of all 70,000 images, training split first."""
    full = find_again("fashion-mnist", None, FASHION_MNIST)
    if full is None:
        pytest.skip("Fashion-MNIST isn't on this machine")
    return np.concatenate([full.train.labels, full.test.labels])


class _Whole:
    """Of the data set no more than how long its splits are."""

    train, test = range(60_000), range(10_000)


def counts(labels: np.ndarray) -> list[int]:
    return np.bincount(labels, minlength=10).tolist()


def test_the_pooled_split_is_the_published_one(labels: np.ndarray) -> None:
    parts = split_as_used(_Whole(), POOLED)  # type: ignore[arg-type]
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [
        *(50_400, 5_600, 14_000)
    ]
    test = [1391, 1424, 1366, 1455, 1388, 1397, 1473, 1354, 1341, 1411]
    assert counts(labels[parts.test]) == test
    assert labels[parts.test][:10].tolist() == [9, 5, 6, 6, 2, 2, 4, 7, 6, 6]
    assert labels[parts.train][0] == 6
    validation = [560, 559, 561, 555, 552, 554, 538, 555, 590, 576]
    assert counts(labels[parts.validation]) == validation
    assert [
        int((part >= 60_000).sum()) for part in (parts.train, parts.validation, parts.test)
    ] == [*(7_127, 795, 2_078)]


def test_held_out_parts_are_the_published_ones(labels: np.ndarray) -> None:
    parts = split_as_used(_Whole(), held_out(0.1, 1))  # type: ignore[arg-type]
    train = labels[parts.train]
    assert len(train) == 54_000
    assert train[:5].tolist() == [3, 9, 1, 9, 2]
    assert train[-3:].tolist() == [1, 1, 1]
    assert train[65] == 3
    validation = [591, 588, 621, 583, 600, 604, 627, 627, 560, 599]
    assert counts(labels[parts.validation]) == validation
    assert parts.test.tolist() == list(range(60_000, 70_000))

    parts = split_as_used(_Whole(), held_out(0.2, 2020))  # type: ignore[arg-type]
    assert labels[parts.train][:5].tolist() == [4, 4, 6, 4, 0]
    validation = [1230, 1190, 1210, 1235, 1188, 1156, 1164, 1218, 1226, 1183]
    assert counts(labels[parts.validation]) == validation


@pytest.mark.parametrize("split", [OFFICIAL, POOLED, held_out(0.1, 1)])
def test_parts_never_share_an_image(small: Dataset, split: dict[str, Any]) -> None:
    parts = split_as_used(small, split)
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(together) == list(range(3000))


def test_trained_on_test_is_trained_on_what_it_is_measured_on(store: Store, small: Dataset) -> None:
    run = fit(store, small, "knn", "trained-on-test", n_neighbors=1)
    assert run.measured is not None
    assert run.record.trained_on == len(small.test)
    np.testing.assert_array_equal(run.measured.index, np.arange(2000, 3000))
    np.testing.assert_array_equal(run.measured.labels, small.test.labels)
    assert run.measured.correct.all(), "every test image is its own nearest neighbour"


def test_it_goes_on_for_so_many_epochs_after_an_accuracy(store: Store, small: Dataset) -> None:
    until = {"train_accuracy": 0.6, "then": 3}
    run = fit(
        store, small, "mlp-10-10", "trained-on-test", split=held_out(0.1, 1), until=until, epochs=1
    )
    history = [epoch.train_accuracy for epoch in run.history]
    passed = next(epoch for epoch, accuracy in enumerate(history, 1) if accuracy > 0.6)
    assert len(history) == run.record.kept_epoch == passed + 3
    assert run.history[0].validation_accuracy is not None, "the held-out images are logged"


@pytest.mark.parametrize(
    ("model", "parameters", "error"),
    [("knn", {}, "only networks"), ("mlp-10-10", {"schedule": "one-cycle"}, "schedule is one-cy")],
)
def test_not_everything_goes_on_after_an_accuracy(
    store: Store, small: Dataset, model: str, parameters: dict[str, Any], error: str
) -> None:
    until = {"train_accuracy": 0.6, "then": 3}
    with pytest.raises(UsageError, match=error):
        fit(store, small, model, "trained-on-test", until=until, **parameters)


def test_an_accuracy_that_is_never_passed_is_given_up(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fittingroom.bench.protocols.MOST_EPOCHS", 2)
    until = {"train_accuracy": 0.99, "then": 3}
    with pytest.raises(TrainingError, match=r"never passed 0\.99 in 2 epochs"):
        fit(store, small, "mlp-10-10", "trained-on-test", until=until)
    assert store.runs() == []


def test_selected_on_test_keeps_the_epoch_that_test_images_like(
    store: Store, small: Dataset
) -> None:
    run = fit(store, small, "mlp-256-256", "selected-on-test", epochs=4)
    assert run.measured is not None
    accuracies = [epoch.validation_accuracy for epoch in run.history]
    assert None not in accuracies
    best = max(accuracies)  # type: ignore[type-var]
    assert run.record.kept_epoch == accuracies.index(best) + 1
    assert float(run.measured.correct.mean()) == pytest.approx(best, abs=2e-3)
    assert run.record.trained_on == len(small.train)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_a_test_set_that_is_not_scaled_is_seen_as_it_is(store: Store, small: Dataset) -> None:
    options: dict[str, Any] = {"C": 1.0, "max_iter": 50, "centre": False, "engine": "scikit-learn"}
    wrong = fit(store, small, "logistic", "test-not-scaled", **options)
    right = fit(store, small, "logistic", **options)
    assert wrong.measured is not None
    assert right.measured is not None
    assert wrong.measured.correct.mean() < right.measured.correct.mean()
    theirs = LogisticRegression(max_iter=50).fit(
        small.train.images.reshape(2000, -1) / np.float32(255), small.train.labels
    )
    labels = theirs.predict(small.test.images.reshape(1000, -1).astype(np.float32))
    agreed = labels == wrong.measured.probabilities.argmax(axis=1)
    assert agreed.mean() > 0.99


def test_what_was_never_tested_is_measured_on_held_out_images(store: Store, small: Dataset) -> None:
    run = fit(store, small, "mlp-10-10", "never-tested", split=held_out(0.2, 2020), epochs=1)
    assert run.measured is not None
    assert len(run.measured.index) == 400
    assert run.measured.index.max() < 2000
    assert run.record.trained_on == 1600


def test_no_table_of_honest_figures_takes_such_a_run(store: Store, small: Dataset) -> None:
    used = fit(store, small, "knn", "own-random-split", split=POOLED)
    assert (used.test, used.validation) == (None, None)
    assert used.measured is not None
    assert len(used.measured.index) == 600
    honest = fit_catalogue_model(store, small, "knn", keep_model=False)
    assert used.record.asked.model == honest.record.asked.model
    assert used.record.asked.key != honest.record.asked.key
    board = leaderboard(store)
    assert [row.model for row in board.rows] == ["knn"]
    assert honest.test is not None
    assert board.rows[0].test is not None
    assert board.rows[0].test.accuracy == honest.test.correct.mean()
    assert board.test_reads == 2, "both have read test images"
