"""What a fitted classifier is given, and what it predicts for some images of a split."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from fittingroom.data.dataset import Split
from fittingroom.data.mapped import MappedRows, memory_map
from fittingroom.errors import InputError, NotFiniteError
from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.run import Part


def inputs(
    classifier: BaseEstimator, split: Split, index: np.ndarray
) -> tuple[np.ndarray | MappedRows, np.ndarray]:
    """Images uint8 (n, ...) and labels (n,) of some positions of a split.

    A network is given those of a memory map where they are; all else gets flat rows in memory.
    """
    labels = split.labels[index]
    if isinstance(classifier, NetworkClassifier) and memory_map(split.images) is not None:
        return MappedRows(split.images, index), labels
    return split.images[index].reshape(len(index), -1), labels


def predict(
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
    images, labels = inputs(classifier, split, index)
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
