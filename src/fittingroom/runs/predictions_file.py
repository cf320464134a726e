"""Read somebody's predictions of the test images from a file, checked as far as possible."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fittingroom.array_file import open_arrays
from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError
from fittingroom.evaluation.intervals import wilson
from fittingroom.evaluation.metrics import find_fault
from fittingroom.evaluation.relabelling import relabelling

#: Arrays whose names say what they are.
_KNOWN = ("probabilities", "labels", "class_names")

_LONGEST_NAME = 4000  # bytes of a class's name

logger = logging.getLogger("fittingroom.runs")


def read_predictions(
    path: Path, dataset: Dataset, *, array: str | None = None, as_is: bool = False
) -> np.ndarray:
    """Read probabilities (n_test, classes), float32, classes in the order of the data set.

    Parameters
    ----------
    path
        An `.npz` file with `probabilities` (n_test, classes), each row summing to one, or with
        `labels` (n_test,), class indices. In the order of the official test split. Optional
        `class_names` (classes,) give the order of the classes in the file.
    dataset
        Its test labels judge the predictions.
    array
        The name of the array with the predictions.
    as_is
        Accept even what looks like the truth itself, or like classes in another order.

    Raises
    ------
    InputError
        When the file isn't what it should be, or doesn't say which of its arrays is meant.
    """
    arrays, contents = _read_arrays(path, array, dataset)
    chosen = array or _choose_array(path, arrays, contents, dataset)
    if chosen not in arrays:
        raise InputError(f"{path} has no array {chosen!r}; it holds {contents}.")
    order = _order(path, arrays.get("class_names"), dataset)
    probabilities = _to_probabilities(path, arrays, chosen, dataset)[:, order]
    if not as_is:
        _refuse_truth(path, arrays, chosen, probabilities, dataset)
        _refuse_numbering(path, probabilities, dataset)
        if chosen != "labels" and "labels" in arrays:
            _refuse_order(path, arrays["labels"], order, probabilities, dataset)
    _warn_of_chance(path, probabilities, dataset)
    return probabilities


def _read_arrays(
    path: Path, chosen: str | None, dataset: Dataset
) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a file that are named or may be predictions, and the names of all.

    No others are unpacked.
    """
    if not os.path.lexists(path):
        raise InputError(f"{path} doesn't exist.")
    names = {*_KNOWN, chosen}
    with open_arrays(path, InputError) as file:
        for name in names & file.objects:
            raise InputError(f"{path}: {name} holds Python objects, which aren't read.")
        class_names = file.headers.get("class_names")
        if class_names is not None and not (
            class_names.shape == (dataset.n_classes,)
            and class_names.dtype.kind in "US"
            and 0 < class_names.dtype.itemsize <= _LONGEST_NAME
        ):
            raise InputError(
                f"{path}: class_names must be the {dataset.n_classes} names of the classes."
            )
        wanted = [
            n
            for n, header in file.headers.items()
            if n in names or header.shape in _shapes(dataset)
        ]
        contents = ", ".join([*file.headers, *sorted(file.objects)])[:1000] or "nothing"
        return dict(zip(wanted, file.read(*wanted), strict=True)), contents


def _choose_array(
    path: Path, arrays: Mapping[str, np.ndarray], contents: str, dataset: Dataset
) -> str:
    """The name of the array with the predictions, if the caller gave none."""
    if "probabilities" in arrays:
        return "probabilities"
    others = _candidates(arrays, dataset)
    if "labels" not in arrays:
        hint = f" (name another with --array {others[0]})" if others else ""
        raise InputError(
            f"{path} holds {contents}; an array named 'probabilities' or 'labels' is needed{hint}."
        )
    if others:
        raise InputError(
            f"{path} holds labels and {', '.join(others)}; say which are the predictions: "
            f"--array {others[0]} or --array labels."
        )
    return "labels"


def _candidates(arrays: Mapping[str, np.ndarray], dataset: Dataset) -> list[str]:
    """Other arrays that may be predictions of the test images."""
    shapes = _shapes(dataset)
    return [n for n, a in arrays.items() if n not in _KNOWN and a.shape in shapes]


def _shapes(dataset: Dataset) -> set[tuple[int, ...]]:
    """The shapes of labels and of probabilities of the test images."""
    return {(len(dataset.test),), (len(dataset.test), dataset.n_classes)}


def _order(path: Path, names: np.ndarray | None, dataset: Dataset) -> list[int]:
    """For each class of the data set its number in the file, which may have its own order."""
    if names is None:
        return list(range(dataset.n_classes))
    theirs = [str(name) for name in names.ravel()]
    if sorted(theirs) != sorted(dataset.class_names):
        raise InputError(
            f"{path}: class_names are {', '.join(theirs)}; {dataset.name} has "
            f"{', '.join(dataset.class_names)}."
        )
    return [theirs.index(name) for name in dataset.class_names]


def _to_probabilities(
    path: Path, arrays: Mapping[str, np.ndarray], name: str, dataset: Dataset
) -> np.ndarray:
    """Probabilities (n_test, classes), classes in the order of the file."""
    array = arrays[name]
    if array.ndim == 1 or name == "labels":
        return _one_hot(path, name, array, len(dataset.test), dataset.n_classes)
    return _probabilities(path, name, array, len(dataset.test), dataset.n_classes)


def _probabilities(
    path: Path, name: str, array: np.ndarray, n_images: int, n_classes: int
) -> np.ndarray:
    if array.shape != (n_images, n_classes):
        raise InputError(
            f"{path}: {name} have shape {array.shape}; the test split needs "
            f"({n_images}, {n_classes})."
        )
    if array.dtype.kind != "f":
        raise InputError(
            f"{path}: {name} are {array.dtype}; give finite floating-point numbers, such as the "
            "softmax of scores."
        )
    if (problem := find_fault(array)) is not None:
        row, fault = problem
        raise InputError(f"{path}: the probabilities of image {row} {fault}.")
    probabilities: np.ndarray = array.astype(np.float32)
    return probabilities


def _one_hot(
    path: Path, name: str, labels: np.ndarray, n_images: int, n_classes: int
) -> np.ndarray:
    if labels.shape != (n_images,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: {name} are {labels.dtype} of shape {labels.shape}; the test split needs "
            f"({n_images},) integers."
        )
    if labels.min() < 0 or labels.max() >= n_classes:
        raise InputError(
            f"{path}: {name} go from {labels.min()} to {labels.max()}; they must lie in "
            f"0..{n_classes - 1}."
        )
    one_hot: np.ndarray = np.eye(n_classes, dtype=np.float32)[labels]
    return one_hot


def _refuse_truth(
    path: Path,
    arrays: Mapping[str, np.ndarray],
    name: str,
    probabilities: np.ndarray,
    dataset: Dataset,
) -> None:
    """Refuse the official labels in place of predictions."""
    if not (probabilities[np.arange(len(dataset.test)), dataset.test.labels] == 1).all():
        return
    if arrays[name].ndim == 2:
        logger.warning("%s: every image is right with certainty; are these the labels?", path)
        return
    others = [other for other in _candidates(arrays, dataset) if other != name]
    remedy = f"name the predictions with --array {others[0]}" if others else "save the predictions"
    raise InputError(
        f"{path}: {name} are the official test labels themselves; {remedy}, or add --as-is if a "
        "model does get every image right."
    )


def _refuse_numbering(path: Path, probabilities: np.ndarray, dataset: Dataset) -> None:
    """Refuse classes in another order than the data set's."""
    predicted = probabilities.argmax(axis=1)
    other = relabelling(predicted, dataset.test.labels, dataset.n_classes)
    if other is not None:
        raise InputError(
            f"{path} seems to have the classes in another order: "
            f"{other.sentence(dataset.class_names)}; put them in the order of the data set, or add "
            "their order as an array class_names, or add --as-is if the model really is so wrong."
        )


def _refuse_order(
    path: Path, labels: np.ndarray, order: list[int], probabilities: np.ndarray, dataset: Dataset
) -> None:
    """Refuse probabilities if the labels beside them show that the images are in another order."""
    numbers = np.argsort(order)  # of the data set's classes, by those of the file
    theirs = labels.ravel()
    are_classes = theirs.dtype.kind in "iu" and np.isin(theirs, numbers).all()
    expected = (dataset.test.labels, probabilities.argmax(axis=1))
    readings = (theirs, numbers[theirs]) if are_classes else (theirs,)
    if any(np.array_equal(a, b) for a in readings for b in expected):
        return
    raise InputError(
        f"{path}: the labels beside the probabilities are neither the official test labels nor the "
        "most probable classes, so the images may be in another order; put them in that of the "
        "official test split, or add --as-is."
    )


def _warn_of_chance(path: Path, probabilities: np.ndarray, dataset: Dataset) -> None:
    """Warn of predictions that are no better than they would be for other images."""
    predicted, labels = probabilities.argmax(axis=1), dataset.test.labels
    shares = [np.bincount(x, minlength=dataset.n_classes) / len(x) for x in (predicted, labels)]
    chance = float(shares[0] @ shares[1])
    n_correct = int((predicted == labels).sum())
    if wilson(n_correct, len(labels)).low <= chance:
        logger.warning(
            "%s: %.1f%% are right, no more than in a random order (%.1f%%); are the predictions in "
            "the order of the official test split?",
            *(path, 100 * n_correct / len(labels), 100 * chance),
        )
