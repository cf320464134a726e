"""Fit one classifier once, predict once, and save what it left."""

from __future__ import annotations

import csv
import dataclasses
import io
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, Literal

import numpy as np
import psutil
from sklearn.base import BaseEstimator

from fittingroom.bundles.bundle import Bundle, bundle_of
from fittingroom.bundles.manifest import Data
from fittingroom.data.dataset import Dataset, Split
from fittingroom.data.mapped import MappedRows, memory_map
from fittingroom.data.splits import validation_split
from fittingroom.errors import InputError, NotFiniteError

# Not used here, but by a fit, whose time doesn't count what was imported before.
from fittingroom.models import forest, nearest, softmax_regression  # noqa: F401
from fittingroom.models.catalog import row_of
from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.asked import Asked, asked_of_row, plain
from fittingroom.runs.run import Part, Run, RunRecord, environment
from fittingroom.runs.store import Store
from fittingroom.training.checkpoint import Checkpoint
from fittingroom.training.epoch import Epoch
from fittingroom.training.recipe import Recipe

OnEpoch = Callable[[Epoch, int], None]


def fit_catalogue_model(
    store: Store,
    dataset: Dataset,
    model: str,
    *,
    overrides: Mapping[str, Any] | None = None,
    seed: int = 0,
    full: bool = False,
    reads_test: bool = True,
    keep_model: bool = True,
    on_epoch: OnEpoch | None = None,
) -> Run:
    """The run of a catalogue model: the saved one if the store holds it, else a new one.

    Parameters
    ----------
    store
        Where the run goes.
    dataset
        What the model is fitted on.
    model
        A name of the catalogue.
    overrides
        Parameters that replace the catalogue's.
    seed
        Seed of the fit; a deterministic model is always fitted with 0.
    full
        Fit on the whole training split. Its twin, fitted without the validation part, is fitted
        first where it isn't saved: a network that chooses its epoch takes the twin's, and a model
        that is kept is calibrated by the twin's predictions. The twin does not read the test split.
    reads_test
        Whether the run predicts the test split.
    keep_model
        Whether the fitted model is saved, if it is one that can be.
    on_epoch
        Called after each epoch of a network, with the number of epochs there will be at most.

    Raises
    ------
    UnknownNameError
        When the catalogue has no such model.
    TrainingError, StoreError
        When the fit fails or the run can't be written.
    """
    overrides = dict(overrides or {})
    classifier, asked = asked_of_row(
        dataset, model, overrides=overrides, seed=seed, full=full, reads_test=reads_test
    )
    if (saved := store.find(asked)) is not None:
        return saved
    row = row_of(model)
    keep_model = keep_model and row.kept
    twin = None
    if full and (keep_model or _chooses(classifier)):
        asked_twin = dataclasses.replace(asked, full=False)
        twin = store.find(asked_twin) or fit_catalogue_model(
            store,
            dataset,
            model,
            overrides=overrides,
            seed=seed,
            reads_test=False,
            keep_model=False,
            on_epoch=on_epoch,
        )
    return fit_run(
        store,
        dataset,
        classifier,
        asked,
        family=row.family,
        deterministic=row.deterministic,
        overrides=overrides,
        twin=twin,
        keep_model=keep_model,
        on_epoch=on_epoch,
    )


def fit_run(
    store: Store,
    dataset: Dataset,
    classifier: BaseEstimator,
    asked: Asked,
    *,
    family: Literal["classical", "network", "own"],
    deterministic: bool,
    overrides: Mapping[str, Any] | None = None,
    twin: Run | None = None,
    keep_model: bool = True,
    on_epoch: OnEpoch | None = None,
) -> Run:
    """Fit `classifier` as `asked` says, predict validation and test once each, save the run.

    `twin` is the run without the validation part that a full one takes its choices from.
    """
    split = validation_split(dataset.train.labels)
    index = np.arange(len(dataset.train)) if asked.full else split.train
    checkpoint = Checkpoint(store.checkpoint_path(asked))
    options: dict[str, Any] = {}
    if isinstance(classifier, NetworkClassifier):
        options["on_epoch"] = on_epoch
        if asked.not_found_again is None:  # or nothing would go on from it
            options["checkpoint"] = checkpoint
        chosen = twin.record.kept_epoch if twin and _chooses(classifier) else None
        if chosen is not None:
            classifier.set_params(recipe=_until(classifier.recipe, chosen))
        if not asked.full:
            options["validation"] = taken(classifier, dataset.train, split.choose)
    start = time.perf_counter()
    classifier.fit(*taken(classifier, dataset.train, index), **options)
    fit_seconds = time.perf_counter() - start + (_said(classifier, "seconds_before_") or 0.0)

    validation = test = seconds_per_image = None
    if not asked.full:
        validation, seconds_per_image = predicted(
            classifier, dataset.train, split.validation, dataset.n_classes
        )
    if asked.reads_test:
        everything = np.arange(len(dataset.test))
        test, seconds_per_image = predicted(classifier, dataset.test, everything, dataset.n_classes)

    record = record_of(
        classifier,
        asked=asked,
        overrides=plain(overrides or {}),
        family=family,
        deterministic=deterministic,
        trained_on=len(index),
        fit_seconds=fit_seconds,
        predict_us_per_image=None if seconds_per_image is None else 1e6 * seconds_per_image,
    )
    bundle = _bundle(classifier, dataset, record, validation, twin) if keep_model else None
    run = store.save(
        record,
        validation=validation,
        test=test,
        history=history_csv(_said(classifier, "history_")),
        model=bundle.write if bundle else None,
    )
    checkpoint.remove()
    return run


def _bundle(
    classifier: BaseEstimator,
    dataset: Dataset,
    record: RunRecord,
    validation: Part | None,
    twin: Run | None,
) -> Bundle:
    """The fitted classifier as it is kept, calibrated on what nothing else was chosen by."""
    everything = calibration = None
    if validation is not None:
        everything = validation.probabilities, validation.labels
    held_out = validation if twin is None else twin.validation
    if held_out is not None:
        unseen = held_out.among(validation_split(dataset.train.labels).calibrate)
        calibration = unseen.probabilities, unseen.labels
    return bundle_of(
        classifier,
        model=record.asked.model,
        class_names=dataset.class_names,
        image_shape=dataset.image_shape,
        data=Data(name=dataset.name, sha256=dataset.sha256, images=record.trained_on or 0),
        preparation=dataset.preparation,
        parameters=record.overrides,
        seed=record.asked.seed,
        validation=everything,
        calibration=calibration,
    )


def record_of(classifier: BaseEstimator, **figures: Any) -> RunRecord:
    """The record of a fit: its figures, what the fitted classifier says, and the machine."""
    return RunRecord(
        engine=_said(classifier, "engine_") or _engine(classifier),
        precision=_said(classifier, "precision_"),
        device=_said(classifier, "device_"),
        kept_epoch=_said(classifier, "kept_epoch_"),
        parameters=_said(classifier, "n_parameters_"),
        peak_memory_bytes=peak_memory(),
        environment=environment(),
        **figures,
    )


def _said(classifier: BaseEstimator, name: str) -> Any:
    """What a fitted classifier of ours says of itself; in a stranger's it may mean anything."""
    ours = any(kind.__module__.startswith("fittingroom.") for kind in type(classifier).__mro__)
    return getattr(classifier, name, None) if ours else None


def history_csv(history: list[Epoch] | None) -> str | None:
    """`history.csv`: a line an epoch; what was not measured is empty."""
    if not history:
        return None
    text = io.StringIO()
    fields = [field.name for field in dataclasses.fields(Epoch)]
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(epoch) for epoch in history)
    return text.getvalue()


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else 1024 * int(peak)


def _chooses(classifier: BaseEstimator) -> bool:
    """Whether the fit looks at validation images to choose something."""
    if not isinstance(classifier, NetworkClassifier):
        return False
    return (classifier.recipe or Recipe()).needs_validation


def _until(recipe: Recipe | None, epoch: int) -> Recipe:
    """The recipe up to the epoch that a twin chose, with nothing left to choose."""
    return dataclasses.replace(
        recipe or Recipe(), stop_at=epoch, keep="last", patience=None, restore=False
    )


def taken(
    classifier: BaseEstimator, split: Split, index: np.ndarray
) -> tuple[np.ndarray | MappedRows, np.ndarray]:
    """Images uint8 (n, ...) and labels (n,) of some positions of a split.

    A network is given those of a memory map where they are; all else gets flat rows in memory.
    """
    labels = split.labels[index]
    if isinstance(classifier, NetworkClassifier) and memory_map(split.images) is not None:
        return MappedRows(split.images, index), labels
    return split.images[index].reshape(len(index), -1), labels


def predicted(
    classifier: BaseEstimator, split: Split, index: np.ndarray, n_classes: int
) -> tuple[Part, float]:
    """Probabilities of all classes, and the seconds an image took.

    A classifier that gives labels alone is taken to be certain of them.

    Raises
    ------
    NotFiniteError
        When a probability is NaN or infinite.
    InputError
        When an image gets anything but a distribution over the classes, or one of their labels.
    """
    images, labels = taken(classifier, split, index)
    certain = not hasattr(classifier, "predict_proba")
    start = time.perf_counter()
    given = classifier.predict(images) if certain else classifier.predict_proba(images)
    seconds = (time.perf_counter() - start) / len(images)
    classes = given if certain else getattr(classifier, "classes_", None)
    if classes is None:
        raise InputError("the fitted model has no classes_ that say what its columns stand for.")
    numbers = _class_numbers(classes, n_classes, "predicts" if certain else "has in its classes_")
    shape = np.shape(given)
    if shape != ((len(images),) if certain else (len(images), len({*numbers}))):
        raise InputError(
            f"the fitted model predicts an array {shape} for {len(images)} images"
            + ("." if certain else f" and {len({*numbers})} different classes_.")
        )
    probabilities = np.zeros((len(images), n_classes), np.float32)
    with np.errstate(over="ignore"):  # what is infinite then is refused
        if certain:
            probabilities[np.arange(len(images)), numbers] = 1
        else:
            probabilities[:, numbers] = given
    if not np.isfinite(probabilities).all():
        raise NotFiniteError("the fitted model predicts probabilities that are not finite.")
    return Part(index, probabilities, labels).checked(), seconds


def _class_numbers(labels: Any, n_classes: int, which: str) -> np.ndarray:
    """Labels (n,) of whatever type as class numbers int64. Raises InputError for what is none."""
    labels = np.asarray(labels)
    try:
        numbers = labels.astype(np.float64).ravel()
    except (ValueError, TypeError):
        numbers = np.full(labels.size, np.nan)
    strange = labels.ravel()[~np.isin(numbers, np.arange(n_classes))]
    if len(strange):
        raise InputError(
            f"the fitted model {which} {strange[0]!r}, which is not among the labels of the "
            f"training images, 0 to {n_classes - 1}."
        )
    whole: np.ndarray = numbers.astype(np.int64)
    return whole


def _engine(classifier: BaseEstimator) -> str:
    """Which library fitted, and its version, for a classifier that doesn't say so itself."""
    package = "torch" if isinstance(classifier, NetworkClassifier) else _package(classifier)
    return f"{package} {metadata.version(package)}" if package == "torch" else package


def _package(classifier: BaseEstimator) -> str:
    package = type(classifier).__module__.split(".")[0]
    return {"sklearn": "scikit-learn", "sklearnex": "scikit-learn-intelex"}.get(package, package)
