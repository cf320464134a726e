"""Learning rate range test of a network of the catalogue: `fittingroom tune --lr-range`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fittingroom.bench.progress import OnProgress, Progress
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.errors import UsageError
from fittingroom.models.catalog import row_of
from fittingroom.models.making import classifier_of
from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.attempt import FitStep
from fittingroom.runs.prediction import inputs
from fittingroom.runs.spec import label
from fittingroom.training.rate_range import RateRange


def network_rate_range(
    dataset: str | Path,
    model: str,
    *,
    settings: Mapping[str, Any],
    seed: int = 0,
    on_progress: OnProgress,
) -> tuple[Dataset, RateRange]:
    """The data set, and the network's loss as its learning rate rises; nothing is saved.

    It learns from the training images without the validation part and uses no others.

    Raises
    ------
    UnknownNameError, UsageError
        When the model or a parameter doesn't exist, or the model isn't a network.
    DataError
        When the data can't be loaded.
    """
    model = row_of(model).name
    if row_of(model).family != "network":
        raise UsageError(f"{model} has no learning rate; --lr-range is for networks.")
    classifier_of(model, settings)  # a wrong name fails before any data are fetched
    loaded = load_dataset(dataset)
    classifier = classifier_of(model, settings, dataset=loaded, random_state=seed)
    assert isinstance(classifier, NetworkClassifier)
    index = loaded.validation_split().train
    name = label(model, settings)
    step = Progress(kind="started", model=name, seed=seed, done=0, total=1)

    def on_step(done: int, steps: int) -> None:
        on_progress(replace(step, kind="step", step=FitStep(done=done, total=steps, unit="step")))

    on_progress(step)
    rates = classifier.rate_range(*inputs(classifier, loaded.train, index), on_step=on_step)
    on_progress(replace(step, kind="saved", done=1))
    return loaded, rates
