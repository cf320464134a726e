"""Published protocols as they were really used, wrong ones too.

Only `fittingroom verify` may use this, to show what a published figure is. A run that is made here
says so in its key, and no table of honest figures takes it.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split

from fittingroom.data.dataset import Dataset, Split
from fittingroom.errors import TrainingError, UsageError
from fittingroom.models.catalog import row_of
from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.asked import Asked, plain
from fittingroom.runs.fit import OnEpoch, history_csv, predicted, record_of, taken
from fittingroom.runs.run import Run
from fittingroom.runs.store import Store
from fittingroom.training.checkpoint import Checkpoint
from fittingroom.training.epoch import Epoch
from fittingroom.training.recipe import Recipe

#: Epochs after which a training accuracy that was to be passed is given up.
MOST_EPOCHS = 1000

Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Parts:
    """Positions, in the training split followed by the test split, of the three parts."""

    train: Positions
    validation: Positions
    test: Positions


def split_as_used(dataset: Dataset, split: Mapping[str, Any]) -> Parts:
    """Split the images as a source did: by `train_test_split`, not stratified, in its order.

    Parameters
    ----------
    dataset : whose images are split
    split : `kind`, `test`, `validation` and `seed`, as in a claim's file
    """
    n, n_train = len(dataset.train) + len(dataset.test), len(dataset.train)
    if split["kind"] == "pooled":
        train, test = _held_out(np.arange(n), split["test"], split["seed"])
    else:
        train, test = np.arange(n_train), np.arange(n_train, n)
    if not split["validation"]:
        return Parts(train, train[:0], test)
    train, validation = _held_out(train, split["validation"], split["seed"])
    return Parts(train, validation, test)


def fit_as_used(
    store: Store,
    dataset: Dataset,
    classifier: BaseEstimator,
    asked: Asked,
    *,
    overrides: Mapping[str, Any],
    on_epoch: OnEpoch | None = None,
) -> Run:
    """Fit `classifier` by the protocol of `asked`, predict what its figure was of, save the run.

    Raises
    ------
    TrainingError
        When the fit fails, or a training accuracy that was to be passed is never passed.
    UsageError
        When the protocol can't be followed with this classifier.
    StoreError
        When the run can't be written.
    """
    protocol = asked.protocol
    assert protocol is not None, "an honest run is fitted elsewhere"
    notes, parts = set(protocol["notes"]), split_as_used(dataset, protocol["split"])
    pool = _pool(dataset)
    train = parts.test if "trained-on-test" in notes else parts.train
    shown = parts.test if "selected-on-test" in notes else parts.validation
    checkpoint = Checkpoint(store.checkpoint_path(asked))
    options: dict[str, Any] = {}
    if isinstance(classifier, NetworkClassifier):
        options = {"on_epoch": on_epoch}
        if len(shown):
            options["validation"] = taken(classifier, pool, shown)
    start = time.perf_counter()
    images, labels = taken(classifier, pool, train)
    if protocol["until"]:
        _set_epochs(classifier, images, labels, protocol["until"], options)
    if isinstance(classifier, NetworkClassifier):
        options["checkpoint"] = checkpoint
    classifier.fit(images, labels, **options)
    fit_seconds = time.perf_counter() - start + getattr(classifier, "seconds_before_", 0.0)

    measured, seconds_per_image = predicted(
        _without_scaling(classifier) if "test-not-scaled" in notes else classifier,
        pool,
        parts.validation if "never-tested" in notes and len(parts.validation) else parts.test,
        dataset.n_classes,
    )
    row = row_of(asked.model)
    record = record_of(
        classifier,
        asked=asked,
        overrides=plain(overrides),
        family=row.family,
        deterministic=row.deterministic,
        trained_on=len(train),
        fit_seconds=fit_seconds,
        predict_us_per_image=1e6 * seconds_per_image,
    )
    run = store.save(
        record,
        validation=None,
        test=None,
        measured=measured,
        history=history_csv(getattr(classifier, "history_", None)),
    )
    checkpoint.remove()
    return run


def _held_out(positions: Positions, share: float, seed: int) -> tuple[Positions, Positions]:
    rest, held_out = train_test_split(positions, test_size=share, random_state=seed)
    return rest, held_out


def _pool(dataset: Dataset) -> Split:
    """Both splits as one, the training images first."""
    return Split(
        np.concatenate([dataset.train.images, dataset.test.images]),
        np.concatenate([dataset.train.labels, dataset.test.labels]),
    )


def _without_scaling(classifier: BaseEstimator) -> BaseEstimator:
    """The fitted classifier, but it takes pixels as they are: 0..255 where it learned 0..1."""
    unscaled = copy.copy(classifier)
    unscaled.scale = 1.0
    return unscaled


class _PassedError(Exception):
    """Ends a training in which a logged accuracy was passed."""


def _set_epochs(
    classifier: BaseEstimator,
    images: Any,
    labels: NDArray[np.int64],
    until: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    """Let the classifier train until its logged accuracy passes a value, and some epochs more.

    The training is done once to count its epochs. With a constant rate and the same seed the same
    epochs come again.
    """
    if not isinstance(classifier, NetworkClassifier):
        raise UsageError("only networks are trained until an accuracy is passed.")
    recipe = classifier.recipe or Recipe()
    if recipe.schedule != "constant":
        raise UsageError(f"the schedule is {recipe.schedule}; epochs are added to a constant rate.")
    passed: list[int] = []

    def on_epoch(epoch: Epoch, planned: int) -> None:
        if options["on_epoch"] is not None:
            options["on_epoch"](epoch, planned)
        if epoch.train_accuracy > until["train_accuracy"]:
            passed.append(epoch.epoch)
            raise _PassedError

    classifier.set_params(recipe=dataclasses.replace(recipe, epochs=MOST_EPOCHS))
    try:
        classifier.fit(images, labels, on_epoch=on_epoch)
    except _PassedError:
        epochs = passed[0] + until["then"]
        classifier.set_params(recipe=dataclasses.replace(recipe, epochs=epochs))
        return
    raise TrainingError(
        f"the training accuracy never passed {until['train_accuracy']} in {MOST_EPOCHS} epochs."
    )
