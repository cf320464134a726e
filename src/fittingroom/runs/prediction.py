"""The inputs of a fitted classifier, and its predictions for some images of a split."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from fittingroom.data.dataset import Split
from fittingroom.data.mapped import MappedRows, memory_map
from fittingroom.errors import InputError, NotFiniteError
from fittingroom.models.as_network import as_network
from fittingroom.runs.run import Part


def inputs(
    classifier: BaseEstimator, split: Split, index: np.ndarray
) -> tuple[np.ndarray | MappedRows, np.ndarray]:
    """Images uint8 (n, ...) and labels (n,) at some positions of a split.

    A network gets memory-mapped images as they are; anything else gets flat rows in memory.
    """
    labels = split.labels[index]
    if as_network(classifier) is not None and memory_map(split.images) is not None:
        return MappedRows(split.images, index), labels
    return split.images[index].reshape(len(index), -1), labels


def predict(
    classifier: BaseEstimator, split: Split, index: np.ndarray, n_classes: int
) -> tuple[Part, float]:
    """Predict the probabilities of all classes; also returns the seconds per image.

    A classifier that predicts only labels counts as certain of them.

    Raises
    ------
    NotFiniteError
        When a probability is NaN or infinite.
    InputError
        When a prediction is neither a distribution over the classes nor one of their labels.
    """
    images, labels = inputs(classifier, split, index)
    labels_only = not hasattr(classifier, "predict_proba")
    start = time.perf_counter()
    output = classifier.predict(images) if labels_only else classifier.predict_proba(images)
    seconds = (time.perf_counter() - start) / len(images)
    classes = output if labels_only else getattr(classifier, "classes_", None)
    if classes is None:
        raise InputError("the fitted model has no classes_, so its columns can't be named.")
    columns = _class_numbers(
        classes, n_classes, "predicts" if labels_only else "has in its classes_"
    )
    shape = np.shape(output)
    if shape != ((len(images),) if labels_only else (len(images), len({*columns}))):
        raise InputError(
            f"the fitted model predicts an array {shape} for {len(images)} images"
            + ("." if labels_only else f" and {len({*columns})} different classes_.")
        )
    probabilities = np.zeros((len(images), n_classes), np.float32)
    with np.errstate(over="ignore"):  # infinities are refused below
        if labels_only:
            probabilities[np.arange(len(images)), columns] = 1
        else:
            probabilities[:, columns] = output
    if not np.isfinite(probabilities).all():
        raise NotFiniteError("the fitted model predicts probabilities that are not finite.")
    return Part(index, probabilities, labels).validated(), seconds


def _class_numbers(labels: Any, n_classes: int, verb: str) -> np.ndarray:
    """Labels (n,) of any type as class numbers, int64. Raises InputError for one that isn't."""
    labels = np.asarray(labels)
    try:
        numbers = labels.astype(np.float64).ravel()
    except (ValueError, TypeError):
        numbers = np.full(labels.size, np.nan)
    unknown = labels.ravel()[~np.isin(numbers, np.arange(n_classes))]
    if len(unknown):
        raise InputError(
            f"the fitted model {verb} {unknown[0]!r}, which is not among the labels of the "
            f"training images, 0 to {n_classes - 1}."
        )
    integers: np.ndarray = numbers.astype(np.int64)
    return integers
