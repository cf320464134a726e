"""Cross-validate a classifier over the training split: probabilities of images it didn't see."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import clone

from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import fold_of
from fittingroom.models.catalog import row_of
from fittingroom.runs.asked import asked_of_row
from fittingroom.runs.fit import predicted, record_of, taken
from fittingroom.runs.run import Part, Run
from fittingroom.runs.store import Store

OnFold = Callable[[int, int, float], None]


def fit_folds(
    store: Store,
    dataset: Dataset,
    model: str,
    folds: int,
    *,
    overrides: Mapping[str, Any] | None = None,
    seed: int = 0,
    on_fold: OnFold | None = None,
) -> Run:
    """Cross-validate a catalogue model over the training split: the saved run or a new one.

    Each image gets its probabilities from the fit that didn't see it. A network whose recipe
    chooses by validation images holds a tenth of its own training images out. The test split is
    not read, and no model is kept. What is done of an interrupted cross-validation is gone on
    from, fold by fold.

    Parameters
    ----------
    folds : how many fits
    on_fold : called after each with how many are done, how many there are and its accuracy

    Raises
    ------
    UnknownNameError, UsageError
        When the model, a parameter or the number of folds makes no sense.
    DataError
        When a class has fewer images than there are folds.
    TrainingError, StoreError
        When a fit fails or something can't be written.
    """
    overrides = dict(overrides or {})
    classifier, asked = asked_of_row(
        dataset, model, overrides=overrides, seed=seed, full=True, reads_test=False
    )
    asked = dataclasses.replace(asked, folds=folds)
    if (saved := store.find(asked)) is not None:
        return saved
    fold = fold_of(dataset.train.labels, folds)
    probabilities = np.empty((len(fold), dataset.n_classes), np.float32)
    start, fitted = time.perf_counter(), classifier
    for number in range(folds):
        held_out = np.flatnonzero(fold == number)
        part = store.read_fold(asked, number)
        if part is None:
            fitted = clone(classifier)
            fitted.fit(*taken(fitted, dataset.train, np.flatnonzero(fold != number)))
            part, _ = predicted(fitted, dataset.train, held_out, dataset.n_classes)
            store.save_fold(asked, number, part)
        probabilities[held_out] = part.probabilities
        if on_fold is not None:
            on_fold(number + 1, folds, float(part.correct.mean()))
    record = record_of(
        fitted,
        asked=asked,
        overrides=overrides,
        family=row_of(model).family,
        deterministic=row_of(model).deterministic,
        trained_on=int((fold != 0).sum()),
        fit_seconds=time.perf_counter() - start,
        predict_us_per_image=None,
    )
    run = store.save(
        record,
        validation=None,
        test=None,
        out_of_fold=Part(np.arange(len(fold)), probabilities, dataset.train.labels),
    )
    store.remove_folds(asked)
    return run
