"""Fit a spec: train, predict what its protocol says, save the run."""

from __future__ import annotations

import copy
import csv
import dataclasses
import io
import sys
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from sklearn.base import BaseEstimator

from fittingroom.bundles.bundle import Bundle, bundle_of
from fittingroom.bundles.manifest import Data
from fittingroom.data.dataset import Dataset
from fittingroom.errors import TrainingError, UsageError

# Imported here so that the time of a fit doesn't include it.
from fittingroom.models import forest, nearest_search, softmax_regression  # noqa: F401
from fittingroom.models.as_network import as_network
from fittingroom.models.catalog import row_of
from fittingroom.models.layer import Layer
from fittingroom.runs.attempt import FitStep
from fittingroom.runs.prediction import inputs, predict
from fittingroom.runs.protocols import Protocol, folds, protocol_of
from fittingroom.runs.run import Part, Run, RunRecord, environment
from fittingroom.runs.spec import RunSpec, to_plain
from fittingroom.runs.store import Store
from fittingroom.training.epoch import Epoch
from fittingroom.training.recipe import Recipe

if TYPE_CHECKING:
    from fittingroom.training.checkpoint import Checkpoint

OnStep = Callable[[FitStep], None]

#: Epochs after which a training accuracy that should be passed is given up.
MAX_EPOCHS = 1000


def fit(
    spec: RunSpec,
    dataset: Dataset,
    store: Store,
    *,
    estimator: BaseEstimator | None = None,
    keep_model: bool = True,
    on_step: OnStep | None = None,
) -> Run:
    """The run of a spec: the saved one if the store holds it, else a new one.

    A full run first needs its reference run, which is fitted without the validation part: a network
    that chooses its epoch takes the reference run's, and a model that is kept is calibrated on the
    reference run's predictions. If it isn't saved, it is fitted without reading the test split.

    Parameters
    ----------
    spec : what is to be fitted
    dataset : the data set of the spec
    store : where the run goes
    estimator : the unfitted estimator, for a model that isn't in the catalogue
    keep_model : whether to save the fitted model, if it can be saved
    on_step : called after each epoch of a network and each fold of a cross-validation

    Raises
    ------
    UnknownNameError, UsageError
        When the catalogue has no such model, or it can't follow the protocol.
    TrainingError, StoreError
        When the fit fails, or the run can't be written.
    """
    if (saved := store.find(spec)) is not None:
        return saved
    report = on_step or (lambda _: None)
    if spec.folds:
        return _cross_validate(spec, dataset, store, report)
    if estimator is None:
        classifier = spec.classifier(dataset)
        keep_model = keep_model and row_of(spec.model).kept and spec.protocol is None
        reference = _reference_run(spec, dataset, store, classifier, keep_model, report)
    else:
        from fittingroom.runs.own import with_seed  # imports torch

        classifier, keep_model, reference = with_seed(estimator, dataset, spec.seed), False, None

    protocol, checkpoint = protocol_of(spec, dataset), _checkpoint(classifier, spec, store)
    resumable = spec.not_found_again is None
    fit_seconds = _train(classifier, protocol, checkpoint if resumable else None, report)
    parts, seconds_per_image = _predict_all(classifier, protocol, dataset.n_classes)
    record = _record(
        classifier,
        spec=spec,
        **_model_fields(spec, estimator),
        trained_on=len(protocol.train),
        fit_seconds=fit_seconds,
        predict_us_per_image=None if seconds_per_image is None else 1e6 * seconds_per_image,
    )
    bundle = None
    if keep_model:
        bundle = _bundle(classifier, dataset, record, parts.get("validation"), reference)
    run = store.save(
        record,
        parts,
        history=history_csv(_fitted_attribute(classifier, "history_")),
        layers=_layers(classifier),
        model=bundle.write if bundle else None,
    )
    if checkpoint is not None:
        checkpoint.remove()
    return run


def _checkpoint(classifier: BaseEstimator, spec: RunSpec, store: Store) -> Checkpoint | None:
    """Where the training of a network is kept meanwhile."""
    if as_network(classifier) is None:
        return None
    from fittingroom.training.checkpoint import Checkpoint

    return Checkpoint(store.checkpoint_path(spec))


def _reference_run(
    spec: RunSpec,
    dataset: Dataset,
    store: Store,
    classifier: BaseEstimator,
    keep_model: bool,
    report: OnStep,
) -> Run | None:
    """The reference run of a full run, its choices applied to the classifier; None without one."""
    chooses = _chooses(classifier)
    if not spec.references or not (keep_model or chooses):
        return None
    tested, untested = spec.references
    run = store.find(tested) or fit(untested, dataset, store, keep_model=False, on_step=report)
    epoch = run.record.kept_epoch
    if chooses and epoch is not None:
        # The recipe up to that epoch, with nothing left to choose.
        recipe = dataclasses.replace(
            classifier.recipe or Recipe(), stop_at=epoch, keep="last", patience=None, restore=False
        )
        classifier.set_params(recipe=recipe)
    return run


def _chooses(classifier: BaseEstimator) -> bool:
    """Whether the fit chooses something by validation images."""
    network = as_network(classifier)
    return network is not None and (network.recipe or Recipe()).needs_validation


def _train(
    classifier: BaseEstimator, protocol: Protocol, checkpoint: Checkpoint | None, report: OnStep
) -> float:
    """Fit the classifier as the protocol says; returns the seconds that this took."""
    options: dict[str, Any] = {}
    if (network := as_network(classifier)) is not None:
        options["on_epoch"] = lambda epoch, epochs: report(
            FitStep(done=epoch.epoch, total=epochs, accuracy=epoch.validation_accuracy)
        )
        if protocol.watched is not None:
            options["validation"] = inputs(network, protocol.images, protocol.watched)
    start = time.perf_counter()
    images, labels = inputs(classifier, protocol.images, protocol.train)
    if protocol.train_until is not None:
        epochs = _epochs_until(classifier, images, labels, protocol.train_until, report)
        classifier.set_params(recipe=dataclasses.replace(classifier.recipe, epochs=epochs))
    if network is not None and checkpoint is not None:
        options["checkpoint"] = checkpoint
    classifier.fit(images, labels, **options)
    return time.perf_counter() - start + (_fitted_attribute(classifier, "seconds_before_") or 0.0)


class _PassedError(Exception):
    """Ends a training once the logged accuracy has passed a value."""


def _epochs_until(
    classifier: BaseEstimator,
    images: Any,
    labels: np.ndarray,
    until: Mapping[str, Any],
    report: OnStep,
) -> int:
    """Count the epochs until the logged accuracy passes a value, plus some more.

    This takes a training of its own, whose epochs the same seed and a constant rate will repeat.
    """
    if as_network(classifier) is None:
        raise UsageError("only networks are trained until an accuracy is passed.")
    recipe = classifier.recipe or Recipe()
    if recipe.schedule != "constant":
        raise UsageError(f"the schedule is {recipe.schedule}; only a constant one can be extended.")
    passed: list[int] = []

    def on_epoch(epoch: Epoch, planned: int) -> None:
        report(FitStep(done=epoch.epoch, total=planned, accuracy=epoch.validation_accuracy))
        if epoch.train_accuracy > until["train_accuracy"]:
            passed.append(epoch.epoch)
            raise _PassedError

    classifier.set_params(recipe=dataclasses.replace(recipe, epochs=MAX_EPOCHS))
    try:
        classifier.fit(images, labels, on_epoch=on_epoch)
    except _PassedError:
        return passed[0] + int(until["then"])
    raise TrainingError(
        f"the training accuracy never passed {until['train_accuracy']} in {MAX_EPOCHS} epochs."
    )


def _predict_all(
    classifier: BaseEstimator, protocol: Protocol, n_classes: int
) -> tuple[dict[str, Part], float | None]:
    """Predict the protocol's parts; also returns the seconds per image of the last part."""
    if not protocol.scales_test:
        classifier = copy.copy(classifier)
        classifier.scale = 1.0
    parts, seconds = {}, None
    for name, (split, positions) in protocol.predicted.items():
        parts[name], seconds = predict(classifier, split, positions, n_classes)
    held_out = parts.get("validation")
    if held_out is not None and protocol.watched is not None:
        half = np.isin(held_out.index, protocol.watched)
        parts["validation"] = dataclasses.replace(held_out, selection=half)
    return parts, seconds


def _cross_validate(spec: RunSpec, dataset: Dataset, store: Store, report: OnStep) -> Run:
    """Predict each training image by the fit that didn't see it.

    A network whose recipe chooses by validation images holds out a tenth of its own training
    images. No model is kept. An interrupted cross-validation resumes after its finished folds.
    """
    probabilities = np.empty((len(dataset.train), dataset.n_classes), np.float32)
    start, trained_on, fitted = time.perf_counter(), [], spec.classifier(dataset)
    for number, protocol in enumerate(folds(spec, dataset)):
        split, held_out = protocol.predicted["out_of_fold"]
        part = store.read_fold(spec, number)
        if part is None:
            fitted = spec.classifier(dataset)
            fitted.fit(*inputs(fitted, split, protocol.train))
            part, _ = predict(fitted, split, held_out, dataset.n_classes)
            store.save_fold(spec, number, part)
        probabilities[held_out] = part.probabilities
        trained_on.append(len(protocol.train))
        accuracy = float(part.correct.mean())
        report(FitStep(done=number + 1, total=spec.folds, accuracy=accuracy, unit="fold"))
    record = _record(
        fitted,
        spec=spec,
        **_model_fields(spec, None),
        trained_on=trained_on[0],
        fit_seconds=time.perf_counter() - start,
        predict_us_per_image=None,
    )
    index = np.arange(len(dataset.train))
    run = store.save(record, {"out_of_fold": Part(index, probabilities, dataset.train.labels)})
    store.remove_folds(spec)
    return run


def _bundle(
    classifier: BaseEstimator,
    dataset: Dataset,
    record: RunRecord,
    validation: Part | None,
    reference: Run | None,
) -> Bundle:
    """The fitted classifier as a bundle, calibrated on what nothing else was chosen by."""
    whole_part = calibration = None
    if validation is not None:
        whole_part = validation.probabilities, validation.labels
    held_out = validation if reference is None else reference.validation
    if held_out is not None:
        half = held_out.among(dataset.validation_split().calibration)
        calibration = half.probabilities, half.labels
    return bundle_of(
        classifier,
        model=record.spec.model,
        class_names=dataset.class_names,
        image_shape=dataset.image_shape,
        data=Data(name=dataset.name, sha256=dataset.sha256, images=record.trained_on or 0),
        preparation=dataset.preparation,
        parameters=record.spec.settings,
        seed=record.spec.seed,
        validation=whole_part,
        calibration=calibration,
    )


def _model_fields(spec: RunSpec, estimator: BaseEstimator | None) -> dict[str, Any]:
    """What is recorded of the model, whatever the fit gives."""
    if estimator is not None:
        from fittingroom.runs.own import is_deterministic

        return {"family": "own", "deterministic": is_deterministic(estimator)}
    row = row_of(spec.model)
    return {"family": row.family, "deterministic": row.deterministic}


def _record(classifier: BaseEstimator, *, spec: RunSpec, **figures: Any) -> RunRecord:
    """The record of a fit: its figures, what the fitted classifier reports, and the machine."""
    return RunRecord(
        spec=dataclasses.replace(spec, settings=to_plain(spec.settings)),
        engine=_fitted_attribute(classifier, "engine_") or _engine(classifier),
        precision=_fitted_attribute(classifier, "precision_"),
        device=_fitted_attribute(classifier, "device_"),
        kept_epoch=_fitted_attribute(classifier, "kept_epoch_"),
        parameters=_fitted_attribute(classifier, "n_parameters_"),
        peak_memory_bytes=peak_memory(),
        environment=environment(),
        **figures,
    )


def _layers(classifier: BaseEstimator) -> tuple[Layer, ...] | None:
    """The layers of a network of the catalogue, so that pages need not build it to show them."""
    network = as_network(classifier)
    if network is None or not isinstance(network.net, str):
        return None
    from fittingroom.models.layers import layers_in

    return layers_in(network.net_, network.image_shape_)


def _fitted_attribute(classifier: BaseEstimator, name: str) -> Any:
    """What a fitted classifier of ours reports; elsewhere the attribute may mean anything."""
    ours = any(kind.__module__.startswith("fittingroom.") for kind in type(classifier).__mro__)
    return getattr(classifier, name, None) if ours else None


def history_csv(history: list[Epoch] | None) -> str | None:
    """`history.csv`: one line per epoch; what was not measured is empty."""
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


def _engine(classifier: BaseEstimator) -> str:
    """The library that fitted, with its version, of a classifier that doesn't report it itself."""
    package = "torch" if as_network(classifier) is not None else _package(classifier)
    return f"{package} {metadata.version(package)}" if package == "torch" else package


def _package(classifier: BaseEstimator) -> str:
    package = type(classifier).__module__.split(".")[0]
    return {"sklearn": "scikit-learn", "sklearnex": "scikit-learn-intelex"}.get(package, package)
