"""Predictions that were made elsewhere, as a run like any other."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError, UsageError
from fittingroom.evaluation.metrics import fault_of
from fittingroom.runs.asked import Asked, plain
from fittingroom.runs.run import Part, Run, RunRecord, environment
from fittingroom.runs.store import Store, check_model_name


def add_predictions(store: Store, dataset: Dataset, name: str, path: Path | str) -> Run:
    """Put saved test predictions under `name` beside the runs of `dataset`.

    Parameters
    ----------
    store
        The store of `dataset`.
    dataset
        Its test labels judge the predictions.
    name
        The name in the table.
    path
        An `.npz` file with `probabilities` (n_test, classes), each row summing to one, or with
        `labels` (n_test,), class indices. In the order of the official test split.

    Raises
    ------
    UsageError
        When the name can't be used or stands for other predictions already.
    InputError
        When the file is not what it should be.
    """
    check_model_name(name)
    probabilities = _read(Path(path), len(dataset.test), dataset.n_classes)
    asked = Asked(
        dataset=dataset.sha256,
        model=name,
        parameters={"predictions": plain(probabilities)},
        full=False,
        reads_test=True,
        seed=0,
    )
    if (saved := store.find(asked)) is not None:
        return saved
    if (store.folder / name).exists():
        raise UsageError(
            f"{name!r} stands for another run already; give these predictions another name, or "
            f"remove {store.folder / name}."
        )
    record = RunRecord(
        asked=asked,
        overrides={},
        family="added",
        deterministic=True,  # the file is what it is: no seed would change it
        trained_on=None,
        environment=environment(),
    )
    index = np.arange(len(dataset.test))
    return store.save(record, validation=None, test=Part(index, probabilities, dataset.test.labels))


def _read(path: Path, n_images: int, n_classes: int) -> np.ndarray:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            name = next((n for n in ("probabilities", "labels") if n in arrays), None)
            if name is None:
                raise InputError(
                    f"{path} holds {', '.join(arrays) or 'nothing'}; an array named "
                    "'probabilities' or 'labels' is needed."
                )
            array = arrays[name]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except InputError:
        raise
    except (OSError, ValueError, EOFError, AttributeError, TypeError, BadZipFile) as error:
        raise InputError(f"{path} is not a NumPy .npz file of plain arrays.") from error
    if name == "labels":
        return _certain(path, array, n_images, n_classes)
    if array.shape != (n_images, n_classes):
        raise InputError(
            f"{path}: probabilities have shape {array.shape}; the test split needs "
            f"({n_images}, {n_classes})."
        )
    if array.dtype.kind != "f":
        raise InputError(
            f"{path}: probabilities are {array.dtype}; give finite floating-point numbers."
        )
    if (found := fault_of(array)) is not None:
        row, fault = found
        raise InputError(f"{path}: the probabilities of image {row} {fault}.")
    probabilities: np.ndarray = array.astype(np.float32)
    return probabilities


def _certain(path: Path, labels: np.ndarray, n_images: int, n_classes: int) -> np.ndarray:
    if labels.shape != (n_images,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{path}: labels are {labels.dtype} of shape {labels.shape}; the test split needs "
            f"({n_images},) integers."
        )
    if labels.min() < 0 or labels.max() >= n_classes:
        raise InputError(f"{path}: labels must lie in 0..{n_classes - 1}.")
    certain: np.ndarray = np.eye(n_classes, dtype=np.float32)[labels]
    return certain
