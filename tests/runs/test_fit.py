from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.bundles.bundle import load
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import fold_of, validation_split
from fittingroom.errors import (
    DataError,
    NotFiniteError,
    StoreError,
    UnknownNameError,
    UsageError,
)
from fittingroom.models.making import make_classifier
from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.attempt import FitStep
from fittingroom.runs.fit import fit
from fittingroom.runs.own import own_spec
from fittingroom.runs.prediction import predict
from fittingroom.runs.run import read_run
from fittingroom.runs.spec import RunSpec, spec_of, to_plain
from fittingroom.runs.store import Store, open_store
from fittingroom.training.checkpoint import Checkpoint

FOLDS = 3


def test_a_run_holds_all_that_a_table_needs(store: Store, small: Dataset) -> None:
    steps: list[FitStep] = []
    spec = spec_of(small, "mlp-256-256", settings={"epochs": 3}, seed=5)
    run = fit(spec, small, store, on_step=steps.append)
    assert [(step.done, step.total, step.unit) for step in steps] == [
        *((1, 3, "epoch"), (2, 3, "epoch"), (3, 3, "epoch"))
    ]
    assert [step.accuracy for step in steps] == [e.validation_accuracy for e in run.history]
    assert run.folder == store.folder / spec.path
    split = validation_split(small.train.labels)
    assert run.validation is not None
    assert run.test is not None
    np.testing.assert_array_equal(run.validation.index, split.validation)
    np.testing.assert_array_equal(run.validation.labels, small.train.labels[split.validation])
    np.testing.assert_array_equal(run.test.labels, small.test.labels)
    for part in (run.validation, run.test):
        assert part.probabilities.dtype == np.float32
        np.testing.assert_allclose(part.probabilities.sum(axis=1), 1, atol=1e-5)
    record = run.record
    assert record.label == "mlp-256-256[epochs=3]"
    assert record.spec == spec
    assert record.trained_on == len(split.train)
    assert record.parameters == 269_322
    assert record.kept_epoch in (1, 2, 3)
    assert record.precision in ("float32", "bfloat16")
    assert record.engine == f"torch {metadata.version('torch')}"
    assert record.fit_seconds is not None
    assert record.fit_seconds > 0
    assert record.model_bytes is not None
    assert record.model_bytes > 4 * 269_322
    assert record.peak_memory_bytes is not None
    assert record.peak_memory_bytes > 50e6
    header, *lines = (run.folder / "history.csv").read_text().splitlines()
    assert header == (
        "epoch,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy,seconds"
    )
    assert len(lines) == 3
    assert json.loads((run.folder / "run.json").read_text())["asked"]["parameters"]["recipe"]


def test_a_saved_run_is_not_fitted_again(store: Store, small: Dataset) -> None:
    first = fit(spec_of(small, "knn", seed=3), small, store)
    assert first.record.spec.seed == 0  # no seed changes k-NN
    written = (first.folder / "run.json").stat().st_mtime_ns
    again = fit(spec_of(small, "knn", seed=4), small, store)
    assert again.folder == first.folder
    assert (again.folder / "run.json").stat().st_mtime_ns == written


def test_test_images_stay_unread_on_request(store: Store, small: Dataset) -> None:
    run = fit(spec_of(small, "knn", reads_test=False), small, store)
    assert run.test is None
    assert run.validation is not None
    with np.load(run.folder / "predictions.npz") as arrays:
        assert not [name for name in arrays if name.startswith("test")]


def test_test_labels_change_no_choice(store: Store, small: Dataset) -> None:
    shuffled = np.random.default_rng(0).permutation(small.test.labels)
    other = Dataset.from_arrays(
        small.train.images, small.train.labels, small.test.images, shuffled, name="shuffled"
    )
    settings = {"epochs": 4}
    run = fit(spec_of(small, "mlp-256-256", settings=settings), small, store)
    blind = fit(
        spec_of(other, "mlp-256-256", settings=settings),
        other,
        open_store(store.folder / "other", other),
    )
    assert run.record.kept_epoch == blind.record.kept_epoch
    assert run.test is not None
    assert blind.test is not None
    np.testing.assert_array_equal(run.test.probabilities, blind.test.probabilities)


@pytest.mark.parametrize("model", ["mlp-256-256", "cnn-16-32-64-128"])
def test_an_epoch_is_chosen_by_the_selection_half_alone(
    model: str, store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first promise of docs/figures.md: temperatures and thresholds see unseen images."""
    shown = []
    fit_as_before = NetworkClassifier.fit

    def fitted(self: NetworkClassifier, X: Any, y: Any, **options: Any) -> NetworkClassifier:
        shown.append(options["validation"])
        return fit_as_before(self, X, y, **options)

    monkeypatch.setattr(NetworkClassifier, "fit", fitted)
    run = fit(spec_of(small, model, settings={"epochs": 2}), small, store, keep_model=False)
    split = validation_split(small.train.labels)
    ((images, labels),) = shown
    np.testing.assert_array_equal(labels, small.train.labels[split.selection])
    np.testing.assert_array_equal(
        np.asarray(images).reshape(-1, 784), small.train.images[split.selection].reshape(-1, 784)
    )
    assert run.validation is not None
    assert run.record.kept_epoch is not None
    logged = run.history[run.record.kept_epoch - 1].validation_accuracy
    assert logged == pytest.approx(run.validation.accuracy_on(split.selection), abs=0.011)


def test_full_takes_the_epoch_of_its_reference_run(store: Store, small: Dataset) -> None:
    settings = {"epochs": 6, "learning_rate": 0.05}
    full = fit(spec_of(small, "mlp-256-256", settings=settings, full=True), small, store)
    assert full.record.trained_on == len(small.train)
    assert full.validation is None
    (reference,) = [run for run in store.runs() if not run.record.spec.full]
    assert not reference.record.spec.reads_test
    assert full.record.kept_epoch == reference.record.kept_epoch
    history = (full.folder / "history.csv").read_text().splitlines()
    assert len(history) == 1 + (reference.record.kept_epoch or 0)


@pytest.mark.parametrize("model", ["knn", "mlp-10-10"])
def test_full_is_calibrated_by_its_reference_run(model: str, store: Store, small: Dataset) -> None:
    """Its own predictions of images that it was fitted on would be too confident."""
    settings = {"epochs": 1} if model == "mlp-10-10" else {}
    half = fit(spec_of(small, model, settings=settings), small, store)
    full = fit(spec_of(small, model, settings=settings, full=True), small, store)
    kept, reference = (load(run.folder).facts for run in (full, half))
    assert kept.calibrated == reference.calibrated is not None
    assert kept.data.images == 2000
    assert kept.validation is None
    assert len(store.runs()) == 2  # the saved one is the reference run


def test_a_full_run_that_is_not_kept_needs_no_reference_run(store: Store, small: Dataset) -> None:
    fit(spec_of(small, "knn", full=True), small, store, keep_model=False)
    assert len(store.runs()) == 1


def test_own_estimators_may_predict_only_labels(store: Store, small: Dataset) -> None:
    own = make_pipeline(MinMaxScaler(), Perceptron(max_iter=20, tol=None))
    spec = own_spec(small, "mine", own, full=False)
    run = fit(spec, small, store, estimator=own)
    assert (run.record.family, run.record.deterministic) == ("own", False)
    assert not (run.folder / "model").exists()
    assert not hasattr(own[-1], "coef_"), "the caller's own is left as it was"
    assert fit(spec, small, store, estimator=own).folder == run.folder
    assert run.test is not None
    assert set(np.unique(run.test.probabilities)) == {0.0, 1.0}
    assert run.test.correct.mean() > 0.6


def test_probabilities_that_are_not_finite_fail_the_fit(store: Store, small: Dataset) -> None:
    class Broken(LogisticRegression):  # type: ignore[misc]
        def fit(self, X: np.ndarray, y: np.ndarray) -> Broken:
            self.classes_ = np.unique(y)
            return self

        def predict_proba(self, X: np.ndarray) -> np.ndarray:
            return np.full((len(X), len(self.classes_)), np.nan)

    spec = RunSpec(dataset=small.sha256, model="broken", parameters=to_plain(Broken()))
    with pytest.raises(NotFiniteError, match="not finite"):
        fit(spec, small, store, estimator=Broken())
    assert store.runs() == []


def test_unknown_models_are_refused(store: Store, small: Dataset) -> None:
    with pytest.raises(UnknownNameError, match="did you mean svm-rbf"):
        fit(spec_of(small, "svm-rfb"), small, store)


def test_a_killed_fit_resumes_where_it_stopped(
    store: Store, small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Stands for the end of the process."""

    def kill(step: FitStep) -> None:
        if step.done == 1:
            time.sleep(1)
        if step.done == 2:
            raise Killed

    spec = spec_of(small, "mlp-256-256", settings={"epochs": 4})
    elsewhere = open_store(tmp_path / "undisturbed", small)
    whole = fit(spec, small, elsewhere)

    checkpoint = "fittingroom.training.checkpoint.Checkpoint"
    monkeypatch.setattr(checkpoint, partial(Checkpoint, interval=0))
    with pytest.raises(Killed):
        fit(spec, small, store, on_step=kill)
    assert store.runs() == []
    assert store.checkpoint_path(spec).exists()
    epochs: list[int] = []
    run = fit(spec, small, store, on_step=lambda step: epochs.append(step.done))
    assert epochs == [3, 4]
    assert run.test is not None
    assert whole.test is not None
    np.testing.assert_array_equal(run.test.probabilities, whole.test.probabilities)
    assert run.record.kept_epoch == whole.record.kept_epoch
    assert run.record.fit_seconds is not None
    assert run.record.fit_seconds > 1  # with those before it was killed
    assert not list(store.folder.rglob(".checkpoint-*"))


def test_a_checkpoint_that_is_no_longer_needed_is_swept(store: Store, small: Dataset) -> None:
    run = fit(spec_of(small, "knn"), small, store)
    stale, needed = (
        run.folder.with_name(f".checkpoint-{name}.safetensors")
        for name in (run.folder.name, "0123456789ab-s0")
    )
    stale.touch()
    needed.touch()
    open_store(store.folder.parent, small)
    assert needed.exists()
    assert not stale.exists()
    assert len(store.runs()) == 1


# 96,000 images of 56 × 56, 301 MB, in a process that may take 240 MB more than it starts with.
IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from fittingroom.data import idx
from fittingroom.data.sources import load_dataset
from fittingroom.models import network
from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store
from fittingroom.training import loop, shuffle

small = load_dataset(sys.argv[1])
folder = Path(sys.argv[2])
large = np.tile(small.train.images.repeat(2, axis=1).repeat(2, axis=2), (48, 1, 1))
idx.write_idx(folder / idx.TRAIN_IMAGES, large)
idx.write_idx(folder / idx.TRAIN_LABELS, np.tile(small.train.labels, 48).astype(np.uint8))
idx.write_idx(folder / idx.TEST_IMAGES, large[:500])
idx.write_idx(folder / idx.TEST_LABELS, small.train.labels[:500].astype(np.uint8))
del large
idx.MAP_FROM = 1 << 26
for module in (network, loop, shuffle):
    module.BUFFER = 1 << 24

status = Path("/proc/self/status").read_text().splitlines()
used = next(1024 * int(line.split()[1]) for line in status if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (used + 240 * 2**20,) * 2)
dataset = load_dataset(folder)
try:
    dataset.train.images.copy()
    sys.exit("there is no limit")
except MemoryError:
    pass
store = open_store(folder / "runs", dataset)
run = fit(spec_of(dataset, "mlp-10-10", settings={"epochs": 1}), dataset, store)
print(run.record.trained_on, len(run.validation.index), run.test.correct.mean())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_DATA as Linux has it")
def test_a_mapped_data_set_larger_than_the_memory_is_fitted(
    tmp_path: Path, small_folder: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_LITTLE_MEMORY, str(small_folder), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    trained_on, validated_on, accuracy = done.stdout.split()
    assert (trained_on, validated_on) == ("86400", "9600")
    assert float(accuracy) > 0.5


def test_a_model_that_can_not_be_kept_leaves_its_predictions(store: Store, small: Dataset) -> None:
    run = fit(spec_of(small, "zalando-gaussian-nb", reads_test=False), small, store)
    assert run.validation is not None
    assert not (run.folder / "model").exists()
    assert run.record.model_bytes is None


@pytest.mark.filterwarnings("ignore:The max_iter was reached")
def test_a_parameter_that_is_infinite_can_be_saved(store: Store, small: Dataset) -> None:
    settings = {"C": float("inf"), "solver": "sag", "max_iter": 1, "engine": "scikit-learn"}
    run = fit(spec_of(small, "logistic", settings=settings), small, store, keep_model=False)
    assert run.record.spec.settings["C"] == "inf"
    again = fit(spec_of(small, "logistic", settings=settings), small, store)
    assert again.folder == run.folder


def test_the_history_of_a_run_is_read_from_its_file(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[NetworkClassifier] = []
    fit_as_before = NetworkClassifier.fit

    def noted(self: NetworkClassifier, *data: Any, **options: Any) -> NetworkClassifier:
        fitted.append(self)
        return fit_as_before(self, *data, **options)

    monkeypatch.setattr(NetworkClassifier, "fit", noted)
    spec = spec_of(small, "mlp-10-10", settings={"epochs": 2})
    run = fit(spec, small, store, keep_model=False)
    assert len(run.history) == 2
    assert run.history == tuple(fitted[0].history_)
    assert fit(spec_of(small, "knn"), small, store, keep_model=False).history == ()
    (run.folder / "history.csv").write_text("epoch,train_loss\none,two\n")
    with pytest.raises(StoreError, match=r"history\.csv was changed after it was saved"):
        read_run(run.folder).history  # noqa: B018
    unhashed = replace(run.record, files=None).to_json()
    (run.folder / "run.json").write_text(unhashed)
    with pytest.raises(StoreError, match=r"history\.csv can't be read: could not convert"):
        read_run(run.folder).history  # noqa: B018


def test_each_image_is_predicted_by_the_fit_that_did_not_see_it(
    store: Store, small: Dataset
) -> None:
    steps: list[FitStep] = []
    run = fit(spec_of(small, "knn", folds=FOLDS), small, store, on_step=steps.append)
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
    assert [(step.done, step.total, step.unit) for step in steps] == [
        *((1, 3, "fold"), (2, 3, "fold"), (3, 3, "fold"))
    ]
    assert [step.accuracy for step in steps] == [
        pytest.approx(part.accuracy_on(np.flatnonzero(fold == number))) for number in range(FOLDS)
    ]
    assert 0.6 < part.correct.mean() < 0.95
    assert run.record.trained_on == pytest.approx(len(small.train) * (1 - 1 / FOLDS), abs=1)


def test_a_cross_validation_is_saved_once_and_resumes_after_a_fold(
    store: Store, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = 0

    def dies_in_the_second(*arguments: Any) -> Any:
        nonlocal fits
        fits += 1
        if fits == 2:
            raise KeyboardInterrupt
        return predict(*arguments)

    spec = spec_of(small, "knn", folds=FOLDS)
    monkeypatch.setattr("fittingroom.runs.fit.predict", dies_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        fit(spec, small, store)
    steps: list[FitStep] = []
    run = fit(spec, small, store, on_step=steps.append)
    assert fits == 2 + (FOLDS - 1)
    assert [step.done for step in steps] == [1, 2, 3], "the saved one is reported, too"
    assert fit(spec, small, store).folder == run.folder
    assert fits == 2 + (FOLDS - 1)
    assert [path.name for path in (store.folder / "knn").iterdir()] == [run.folder.name]


def test_a_damaged_fold_is_fitted_again(store: Store, small: Dataset) -> None:
    spec = spec_of(small, "knn", folds=FOLDS)
    part = fit(spec, small, store).out_of_fold
    assert part is not None
    store.save_fold(spec, 0, part)
    assert store.read_fold(spec, 0) is not None
    (file,) = (store.folder / "knn").glob(".folds-*/0.npz")
    file.write_bytes(file.read_bytes()[:100])
    assert store.read_fold(spec, 0) is None
    assert store.read_fold(spec, 1) is None
    open_store(store.folder.parent, small)  # removes what is left of a finished one
    assert not list((store.folder / "knn").glob(".folds-*"))


def test_a_cross_validation_records_a_fold_that_it_fitted(
    store: Store, small: Dataset, tmp_path: Path
) -> None:
    """Even if that isn't the last one, which was read from disk."""
    spec = spec_of(small, "mlp-10-10", settings={"epochs": 1}, folds=2)
    whole = fit(spec, small, store)
    assert whole.out_of_fold is not None
    resumed = open_store(tmp_path / "resumed", small)
    last = np.flatnonzero(fold_of(small.train.labels, 2) == 1)
    resumed.save_fold(spec, 1, whole.out_of_fold.among(last))
    record = fit(spec, small, resumed).record
    for name in ("engine", "precision", "device", "parameters", "kept_epoch"):
        assert getattr(record, name) == getattr(whole.record, name), name


def test_a_cross_validation_is_not_on_the_leaderboard(store: Store, small: Dataset) -> None:
    fit(spec_of(small, "knn", folds=FOLDS), small, store)
    fit(spec_of(small, "random-forest", settings={"n_estimators": 5}), small, store)
    assert [row.model for row in leaderboard(store).rows] == ["random-forest[n_estimators=5]"]


def test_a_network_that_chooses_its_epoch_holds_out_its_own_images(
    store: Store, small: Dataset
) -> None:
    run = fit(spec_of(small, "mlp-256-256", settings={"epochs": 3}, folds=2), small, store)
    assert run.record.kept_epoch in (1, 2, 3)
    assert run.out_of_fold is not None


@pytest.mark.parametrize(("folds", "error"), [(1, UsageError), (201, DataError)])
def test_impossible_numbers_of_folds(
    store: Store, small: Dataset, folds: int, error: type[Exception]
) -> None:
    with pytest.raises(error, match="folds"):
        fit(spec_of(small, "knn", folds=folds), small, store)
