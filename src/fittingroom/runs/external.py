"""Add predictions that were made elsewhere, as runs like any others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError, UsageError
from fittingroom.runs.predictions_file import read_predictions
from fittingroom.runs.run import Part, Run, RunRecord, environment
from fittingroom.runs.spec import RunSpec, to_plain
from fittingroom.runs.store import Store, check_model_name


def add_predictions(
    store: Store,
    dataset: Dataset,
    name: str,
    paths: Path | str | Sequence[Path | str],
    *,
    deterministic: bool = False,
    array: str | None = None,
    as_is: bool = False,
) -> list[Run]:
    """Add saved test predictions to the runs of `dataset` under `name`.

    Parameters
    ----------
    store
        The store of `dataset`.
    dataset
        Its test labels judge the predictions.
    name
        The name in the table.
    paths
        A file of predictions, see :func:`.predictions_file.read_predictions`; or several, each of
        another fit of the same recipe: its seeds.
    deterministic
        Whether another fit would give the same predictions. If not, one fit says nothing about
        another.
    array, as_is
        As in :func:`.predictions_file.read_predictions`.

    Returns
    -------
    one run per file

    Raises
    ------
    UsageError
        When the name can't be used or belongs to other predictions already, or several files are
        given for a deterministic model.
    InputError
        When a file isn't what it should be, or two hold the same predictions.
    """
    check_model_name(name)
    files = [Path(path) for path in ([paths] if isinstance(paths, Path | str) else paths)]
    if deterministic and len(files) > 1:
        raise UsageError("a deterministic model has one file of predictions; give only one.")
    predicted = [read_predictions(file, dataset, array=array, as_is=as_is) for file in files]
    hashes = [to_plain(probabilities) for probabilities in predicted]
    for number, file in enumerate(files):
        if (first := hashes.index(hashes[number])) < number:
            raise InputError(
                f"{files[first]} and {file} hold the same predictions; give those of other seeds, "
                "or one file and --deterministic."
            )
    # One file keeps the key from before there could be several, so that its run is found again.
    parameters = {
        "predictions": hashes[0] if len(hashes) == 1 else hashes,
        **({"deterministic": True} if deterministic else {}),
    }
    specs = [
        RunSpec(dataset=dataset.sha256, model=name, parameters=parameters, seed=seed)
        for seed in range(len(files))
    ]
    if all(store.find(spec) is None for spec in specs) and (store.folder / name).exists():
        raise UsageError(
            f"{name!r} is another run already; give these predictions another name, or "
            f"remove {store.folder / name}."
        )
    return [
        store.find(spec) or _save(store, dataset, spec, probabilities, deterministic)
        for spec, probabilities in zip(specs, predicted, strict=True)
    ]


def _save(
    store: Store, dataset: Dataset, spec: RunSpec, probabilities: np.ndarray, deterministic: bool
) -> Run:
    record = RunRecord(
        spec=spec,
        family="added",
        deterministic=deterministic,
        trained_on=None,
        environment=environment(),
    )
    index = np.arange(len(dataset.test))
    return store.save(record, {"test": Part(index, probabilities, dataset.test.labels)})
