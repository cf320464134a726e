from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import find_again
from fittingroom.data.splits import fold_of, validation_split
from fittingroom.errors import DataError, TrainingError, UsageError
from fittingroom.runs.attempt import FitStep
from fittingroom.runs.fit import MAX_EPOCHS, fit
from fittingroom.runs.protocols import folds, protocol_of, split_as_used
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec, spec_of
from fittingroom.runs.store import Store

FASHION_MNIST = "113e73cdb8cbafcde2b04d780350dbc3a49243dd192cd3b417c104123e7efe07"
OFFICIAL = {"kind": "official", "test": None, "validation": None, "seed": None}
POOLED = {"kind": "pooled", "test": 0.2, "validation": 0.1, "seed": 0}


def held_out(share: float, seed: int) -> dict[str, Any]:
    return {**OFFICIAL, "validation": share, "seed": seed}


HELD_OUT = held_out(0.1, 1)


def as_used(
    small: Dataset,
    model: str,
    *notes: str,
    split: dict[str, Any] = OFFICIAL,
    until: dict[str, Any] | None = None,
    **settings: Any,
) -> RunSpec:
    protocol = {"notes": list(notes), "split": split, "until": until}
    return spec_of(small, model, settings=settings, protocol=protocol)


def fit_as_used(store: Store, small: Dataset, model: str, *notes: str, **options: Any) -> Run:
    return fit(as_used(small, model, *notes, **options), small, store)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """The labels of all 70,000 images, training split first."""
    full = find_again("fashion-mnist", None, FASHION_MNIST)
    if full is None:
        pytest.skip("Fashion-MNIST isn't on this machine")
    return np.concatenate([full.train.labels, full.test.labels])


class _Whole:
    """Stands for a data set of which only the sizes of the splits matter."""

    train, test = range(60_000), range(10_000)


def counts(labels: np.ndarray) -> list[int]:
    found: list[int] = np.bincount(labels, minlength=10).tolist()
    return found


def test_the_pooled_split_is_the_published_one(labels: np.ndarray) -> None:
    parts = split_as_used(_Whole(), POOLED)  # type: ignore[arg-type]
    assert [len(part) for part in parts] == [50_400, 5_600, 14_000]
    train, validation, test = parts
    in_test = [1391, 1424, 1366, 1455, 1388, 1397, 1473, 1354, 1341, 1411]
    assert counts(labels[test]) == in_test
    assert labels[test][:10].tolist() == [9, 5, 6, 6, 2, 2, 4, 7, 6, 6]
    assert labels[train][0] == 6
    in_validation = [560, 559, 561, 555, 552, 554, 538, 555, 590, 576]
    assert counts(labels[validation]) == in_validation
    assert [int((part >= 60_000).sum()) for part in parts] == [7_127, 795, 2_078]


def test_held_out_parts_are_the_published_ones(labels: np.ndarray) -> None:
    train, validation, test = split_as_used(_Whole(), held_out(0.1, 1))  # type: ignore[arg-type]
    assert len(train) == 54_000
    assert labels[train][:5].tolist() == [3, 9, 1, 9, 2]
    assert labels[train][-3:].tolist() == [1, 1, 1]
    assert labels[train][65] == 3
    in_validation = [591, 588, 621, 583, 600, 604, 627, 627, 560, 599]
    assert counts(labels[validation]) == in_validation
    assert test.tolist() == list(range(60_000, 70_000))

    train, validation, _ = split_as_used(_Whole(), held_out(0.2, 2020))  # type: ignore[arg-type]
    assert labels[train][:5].tolist() == [4, 4, 6, 4, 0]
    in_validation = [1230, 1190, 1210, 1235, 1188, 1156, 1164, 1218, 1226, 1183]
    assert counts(labels[validation]) == in_validation


@pytest.mark.parametrize("split", [OFFICIAL, POOLED, held_out(0.1, 1)])
def test_parts_never_share_an_image(small: Dataset, split: dict[str, Any]) -> None:
    together = np.concatenate(split_as_used(small, split))
    assert sorted(together) == list(range(3000))


def test_an_honest_run_trains_watches_and_predicts_parts_that_share_nothing(
    small: Dataset,
) -> None:
    split = validation_split(small.train.labels)
    honest = protocol_of(spec_of(small, "knn"), small)
    assert honest.images is small.train
    np.testing.assert_array_equal(honest.train, split.train)
    assert honest.watched is not None
    np.testing.assert_array_equal(honest.watched, split.selection)
    assert not np.intersect1d(honest.train, split.validation).size
    assert np.isin(honest.watched, split.validation).all()
    assert not np.intersect1d(honest.watched, split.calibration).size
    assert list(honest.predicted) == ["validation", "test"]
    images, positions = honest.predicted["validation"]
    assert images is small.train
    np.testing.assert_array_equal(positions, split.validation)
    images, positions = honest.predicted["test"]
    assert images is small.test
    np.testing.assert_array_equal(positions, np.arange(1000))
    assert honest.train_until is None
    assert honest.scales_test


def test_a_full_run_trains_on_all_training_images_and_watches_none(small: Dataset) -> None:
    full = protocol_of(spec_of(small, "knn", full=True), small)
    assert full.images is small.train
    np.testing.assert_array_equal(full.train, np.arange(2000))
    assert full.watched is None
    assert list(full.predicted) == ["test"]
    assert full.predicted["test"][0] is small.test
    untested = protocol_of(spec_of(small, "knn", full=True, reads_test=False), small)
    np.testing.assert_array_equal(untested.train, full.train)
    assert untested.predicted == {}


def test_a_run_that_reads_no_test_image_differs_in_nothing_else(small: Dataset) -> None:
    honest = protocol_of(spec_of(small, "knn"), small)
    untested = protocol_of(spec_of(small, "knn", reads_test=False), small)
    assert list(untested.predicted) == ["validation"]
    np.testing.assert_array_equal(untested.train, honest.train)
    assert honest.watched is not None
    assert untested.watched is not None
    np.testing.assert_array_equal(untested.watched, honest.watched)
    np.testing.assert_array_equal(
        untested.predicted["validation"][1], honest.predicted["validation"][1]
    )


def test_each_fold_is_predicted_by_a_fit_on_all_others(small: Dataset) -> None:
    spec = spec_of(small, "knn", folds=3)
    fold = fold_of(small.train.labels, 3)
    protocols = list(folds(spec, small))
    assert len(protocols) == 3
    for number, protocol in enumerate(protocols):
        assert protocol.images is small.train
        assert protocol.watched is None
        ((name, (images, positions)),) = protocol.predicted.items()
        assert name == "out_of_fold"
        assert images is small.train
        np.testing.assert_array_equal(positions, np.flatnonzero(fold == number))
        together = np.concatenate([protocol.train, positions])
        np.testing.assert_array_equal(np.sort(together), np.arange(2000))
    with pytest.raises(DataError, match="too few for 201 folds"):
        next(folds(spec_of(small, "knn", folds=201), small))


@pytest.mark.parametrize(
    ("notes", "split", "parts"),
    [
        ((), OFFICIAL, ("train", None, "test")),
        ((), HELD_OUT, ("train", "validation", "test")),
        (("own-random-split",), POOLED, ("train", "validation", "test")),
        (("trained-on-test",), HELD_OUT, ("test", "validation", "test")),
        (("trained-on-test",), OFFICIAL, ("test", None, "test")),
        (("selected-on-test",), OFFICIAL, ("train", "test", "test")),
        (("selected-on-test",), POOLED, ("train", "test", "test")),
        (("never-tested",), HELD_OUT, ("train", "validation", "validation")),
        (("never-tested",), OFFICIAL, ("train", None, "test")),
        (("never-tested", "selected-on-test"), HELD_OUT, ("train", "test", "validation")),
    ],
)
def test_a_run_as_used_takes_the_parts_that_its_notes_name(
    small: Dataset,
    notes: tuple[str, ...],
    split: dict[str, Any],
    parts: tuple[str, str | None, str],
) -> None:
    """Trained, watched and measured, as positions in the training split followed by the test."""
    positions = dict(zip(("train", "validation", "test"), split_as_used(small, split), strict=True))
    trained, watched, measured = parts
    protocol = protocol_of(as_used(small, "knn", *notes, split=split), small)
    assert len(protocol.images) == 3000
    np.testing.assert_array_equal(protocol.images.images[:2000], small.train.images)
    np.testing.assert_array_equal(protocol.images.images[2000:], small.test.images)
    np.testing.assert_array_equal(protocol.images.labels[2000:], small.test.labels)
    np.testing.assert_array_equal(protocol.train, positions[trained])
    if watched is None:
        assert protocol.watched is None
    else:
        assert protocol.watched is not None
        np.testing.assert_array_equal(protocol.watched, positions[watched])
    ((name, (images, predicted)),) = protocol.predicted.items()
    assert name == "measured"
    assert images is protocol.images
    np.testing.assert_array_equal(predicted, positions[measured])


def test_a_run_as_used_may_train_on_or_leave_its_pixels_unscaled(small: Dataset) -> None:
    plain = protocol_of(as_used(small, "knn"), small)
    assert plain.train_until is None
    assert plain.scales_test
    until = {"train_accuracy": 0.6, "then": 3}
    other = protocol_of(as_used(small, "knn", "test-not-scaled", until=until), small)
    assert other.train_until == until
    assert not other.scales_test


def test_trained_on_test_is_trained_on_what_it_is_measured_on(store: Store, small: Dataset) -> None:
    run = fit_as_used(store, small, "knn", "trained-on-test", n_neighbors=1)
    assert run.measured is not None
    assert run.record.trained_on == len(small.test)
    assert not (run.folder / "model").exists(), "what learned test images is no model to keep"
    np.testing.assert_array_equal(run.measured.index, np.arange(2000, 3000))
    np.testing.assert_array_equal(run.measured.labels, small.test.labels)
    assert run.measured.correct.all(), "every test image is its own nearest neighbour"


def test_training_continues_for_some_epochs_after_an_accuracy(store: Store, small: Dataset) -> None:
    until = {"train_accuracy": 0.6, "then": 3}
    spec = as_used(
        *(small, "mlp-10-10", "trained-on-test"), split=held_out(0.1, 1), until=until, epochs=1
    )
    steps: list[FitStep] = []
    run = fit(spec, small, store, on_step=steps.append)
    history = [epoch.train_accuracy for epoch in run.history]
    passed = next(epoch for epoch, accuracy in enumerate(history, 1) if accuracy > 0.6)
    assert len(history) == run.record.kept_epoch == passed + 3
    assert run.history[0].validation_accuracy is not None, "the held-out images are logged"
    counted = [*range(1, passed + 1), *range(1, passed + 4)]
    assert [step.done for step in steps] == counted, "once to count the epochs, once to train"
    assert {step.total for step in steps} == {MAX_EPOCHS, passed + 3}


@pytest.mark.parametrize(
    ("model", "parameters", "error"),
    [("knn", {}, "only networks"), ("mlp-10-10", {"schedule": "one-cycle"}, "schedule is one-cy")],
)
def test_only_networks_at_a_constant_rate_train_until_an_accuracy(
    store: Store, small: Dataset, model: str, parameters: dict[str, Any], error: str
) -> None:
    until = {"train_accuracy": 0.6, "then": 3}
    with pytest.raises(UsageError, match=error):
        fit_as_used(store, small, model, "trained-on-test", until=until, **parameters)


def test_an_accuracy_that_is_never_passed_is_given_up(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fittingroom.runs.fit.MAX_EPOCHS", 2)
    until = {"train_accuracy": 0.99, "then": 3}
    with pytest.raises(TrainingError, match=r"never passed 0\.99 in 2 epochs"):
        fit_as_used(store, small, "mlp-10-10", "trained-on-test", until=until)
    assert store.runs() == []


def test_selected_on_test_keeps_the_epoch_that_test_images_like(
    store: Store, small: Dataset
) -> None:
    run = fit_as_used(store, small, "mlp-256-256", "selected-on-test", epochs=4)
    assert run.measured is not None
    accuracies = [epoch.validation_accuracy for epoch in run.history]
    assert None not in accuracies
    best = max(accuracies)  # type: ignore[type-var]
    assert run.record.kept_epoch == accuracies.index(best) + 1
    assert float(run.measured.correct.mean()) == pytest.approx(best, abs=2e-3)
    assert run.record.trained_on == len(small.train)


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_an_unscaled_test_set_is_predicted_as_it_is(store: Store, small: Dataset) -> None:
    options: dict[str, Any] = {"C": 1.0, "max_iter": 50, "centre": False, "engine": "scikit-learn"}
    wrong = fit_as_used(store, small, "logistic", "test-not-scaled", **options)
    right = fit_as_used(store, small, "logistic", **options)
    assert wrong.measured is not None
    assert right.measured is not None
    assert wrong.measured.correct.mean() < right.measured.correct.mean()
    theirs = LogisticRegression(max_iter=50).fit(
        small.train.images.reshape(2000, -1) / np.float32(255), small.train.labels
    )
    labels = theirs.predict(small.test.images.reshape(1000, -1).astype(np.float32))
    agreed = labels == wrong.measured.probabilities.argmax(axis=1)
    assert agreed.mean() > 0.99


def test_a_never_tested_model_is_measured_on_held_out_images(store: Store, small: Dataset) -> None:
    run = fit_as_used(
        store, small, "mlp-10-10", "never-tested", split=held_out(0.2, 2020), epochs=1
    )
    assert run.measured is not None
    assert len(run.measured.index) == 400
    assert run.measured.index.max() < 2000
    assert run.record.trained_on == 1600


def test_tables_of_honest_figures_leave_such_a_run_out(store: Store, small: Dataset) -> None:
    used = fit_as_used(store, small, "knn", "own-random-split", split=POOLED)
    assert (used.test, used.validation) == (None, None)
    assert used.measured is not None
    assert len(used.measured.index) == 600
    honest = fit(spec_of(small, "knn"), small, store, keep_model=False)
    assert used.record.spec.model == honest.record.spec.model
    assert used.record.spec.key != honest.record.spec.key
    board = leaderboard(store)
    assert [row.model for row in board.rows] == ["knn"]
    assert honest.test is not None
    assert board.rows[0].test is not None
    assert board.rows[0].test.accuracy == honest.test.correct.mean()
    assert board.test_reads == 2, "both have read test images"


def test_a_full_run_takes_its_epoch_from_no_run_as_used(store: Store, small: Dataset) -> None:
    """Test images may have chosen its epoch."""
    fit_as_used(store, small, "mlp-256-256", "selected-on-test", epochs=2)
    fit(spec_of(small, "mlp-256-256", settings={"epochs": 2}, full=True), small, store)
    honest = [run for run in store.runs() if run.record.spec.protocol is None]
    assert sorted(run.record.spec.full for run in honest) == [False, True]
