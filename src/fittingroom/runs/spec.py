"""`RunSpec`: what is to be fitted, and a key that is equal exactly for equal specs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fittingroom.data.dataset import Dataset
from fittingroom.models.catalog import row_of
from fittingroom.models.making import classifier_of, network_arguments
from fittingroom.models.rows import ModelRow, NetworkRow
from fittingroom.printable import printable
from fittingroom.untrusted import STRICT

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

#: The class of the catalogue's networks, which needs PyTorch to be imported.
NETWORK_CLASSIFIER = "fittingroom.models.network.NetworkClassifier"
#: The parameter of an own model that says why no other run can be known to be the same.
NOT_FOUND_AGAIN = "not_found_again"


@dataclass(frozen=True, kw_only=True, eq=False)
class RunSpec:
    """What is to be fitted; plain data, so that any process can do it.

    What is merely resolved (precision, engine, threads, versions) is not here: it is recorded in
    :class:`RunRecord`, and a table that mixes different values says so.

    Attributes
    ----------
    dataset : content hash of the data set
    model : name of the model
    parameters : all of the model's parameters, as JSON has them; the seed is not one of them
    settings : those that replace the catalogue's defaults
    full : trained on the whole training split, validation part included
    reads_test : whether the test split is predicted
    seed : of the fit; 0 for a deterministic model
    folds : of a cross-validation over the training split; 0 for a single fit
    protocol : how a published figure was obtained, where the run re-creates it; None for an honest
        run
    """

    __pydantic_config__ = STRICT

    dataset: str
    model: str
    parameters: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    full: bool = False
    reads_test: bool = True
    seed: int = 0
    folds: int = 0
    protocol: Mapping[str, Any] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RunSpec):
            return NotImplemented
        return (self.path, self.label) == (other.path, other.label)

    def __hash__(self) -> int:
        return hash((self.path, self.label))

    @cached_property
    def key(self) -> str:
        """Twelve hex digits over everything but the seed, which follows it in the folder name.

        The settings are in it through the resulting parameters.
        """
        covered = dataclasses.asdict(self)
        for name in ("seed", "settings"):
            del covered[name]
        if not self.folds:  # so that runs from before folds existed are found again
            del covered["folds"]
        if self.protocol is None:  # likewise
            del covered["protocol"]
        text = json.dumps(covered, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder_name(self) -> str:
        return f"{self.key}-s{self.seed}"

    @property
    def path(self) -> str:
        """The path of its run in the store."""
        return f"{self.model}/{self.folder_name}"

    @property
    def label(self) -> str:
        """The name in a table: the model, and what differs from the catalogue's row."""
        return label(self.model, self.settings)

    @property
    def references(self) -> tuple[RunSpec, ...]:
        """The specs of a full run's reference run, with and without the test split; else none."""
        if not self.full or self.folds or self.protocol is not None:
            return ()
        held_out = dataclasses.replace(self, full=False)
        return (held_out, dataclasses.replace(held_out, reads_test=False))

    @property
    def not_found_again(self) -> str | None:
        """Why each comparison fits this spec again; None if its saved run is found again."""
        return self.parameters.get(NOT_FOUND_AGAIN)

    def classifier(self, dataset: Dataset) -> BaseEstimator:
        """The unfitted classifier of a catalogue model.

        Raises
        ------
        UnknownNameError, UsageError
            When the model or one of its settings doesn't exist or makes no sense.
        """
        return classifier_of(self.model, self.settings, dataset=dataset, random_state=self.seed)


def spec_of(
    dataset: Dataset,
    model: str,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    full: bool = False,
    reads_test: bool = True,
    folds: int = 0,
    protocol: Mapping[str, Any] | None = None,
) -> RunSpec:
    """The spec of a catalogue model; other parameters are as in :class:`RunSpec`.

    Parameters
    ----------
    seed : of the fit; a deterministic model is always fitted with 0
    folds : a cross-validation takes the whole training split and reads no test image

    Raises
    ------
    UnknownNameError, UsageError
        When the model or one of its settings doesn't exist or makes no sense.
    """
    settings, row = dict(settings or {}), row_of(model)
    return RunSpec(
        dataset=dataset.sha256,
        model=row.name,
        parameters=_parameters_of(row, settings, dataset),
        settings=settings,
        full=full or bool(folds),
        reads_test=reads_test and not folds,
        seed=0 if row.deterministic else seed,
        folds=folds,
        protocol=None if protocol is None else to_plain(protocol),
    )


def _parameters_of(row: ModelRow, settings: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """``to_plain`` of a classifier, which for a network needn't be made."""
    if isinstance(row, NetworkRow):
        arguments = network_arguments(row, settings, dataset=dataset, random_state=None)
        del arguments["random_state"]  # isn't part of the key
        return {"class": NETWORK_CLASSIFIER, **to_plain(dict(sorted(arguments.items())))}
    parameters: dict[str, Any] = to_plain(classifier_of(row.name, settings, dataset=dataset))
    return parameters


def expected_seconds(spec: RunSpec, dataset: Dataset) -> float | None:
    """Expected seconds of a catalogue model's run on the reference machine; None if unknown.

    Among settings, only the effect of a network's epochs is known.
    """
    row, epochs = row_of(spec.model), spec.settings.get("epochs")
    if not spec.settings:
        seconds = row.expected_seconds(dataset)
    elif row.family == "network" and len(spec.settings) == 1 and type(epochs) is int:
        seconds = row.expected_seconds(dataset, epochs=epochs)
    else:
        return None
    return (spec.folds or 1) * seconds


def least_memory(spec: RunSpec, dataset: Dataset) -> int:
    """Bytes that a fit of a catalogue model holds at once, at the least; settings can add to it."""
    return row_of(spec.model).least_bytes(dataset)


def label(model: str, settings: Mapping[str, Any]) -> str:
    """`cnn-32`, or `cnn-32[epochs=3]`."""
    listed = ",".join(f"{name}={value}" for name, value in sorted(settings.items()))
    return printable(f"{model}[{listed}]" if listed else model)


def to_plain(value: Any) -> Any:
    """Convert a value to JSON that is equal exactly when the values are.

    For values of the catalogue and of the command line. Arrays are hashed; estimators give their
    class and parameters, classes and functions their names.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, np.generic):
        return to_plain(value.item())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype} {_digest(np.ascontiguousarray(value).data)}"
    from sklearn.base import BaseEstimator  # takes a second, which plain data don't need

    if isinstance(value, BaseEstimator):
        # The seed isn't part of the key, however deep in a pipeline it is set.
        parameters = value.get_params(deep=False).items()
        converted = {name: to_plain(p) for name, p in parameters if name != "random_state"}
        return {"class": _name(type(value)), **converted}
    if isinstance(value, type) or callable(value):
        return _name(value)
    return repr(value)


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{getattr(thing, '__qualname__', repr(thing))}"


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
