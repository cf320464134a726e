"""What was asked of a run, and the key that two runs share exactly if they were asked the same."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from fittingroom.data.dataset import Dataset
from fittingroom.models.catalog import classifier_of, row_of
from fittingroom.untrusted import STRICT

#: Among the parameters of an own model: why no other run can be known to be the same.
NOT_FOUND_AGAIN = "not_found_again"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Everything that was asked of a run. Two runs that were asked the same share one key.

    What was merely resolved (precision, engine, threads, versions) is not here: it is recorded in
    :class:`RunRecord`, and a table that mixes different values says so.
    """

    __pydantic_config__ = STRICT

    dataset: str  # content hash
    model: str
    parameters: Mapping[str, Any]
    full: bool  # fitted on the whole training split, validation part included
    reads_test: bool
    seed: int
    folds: int = 0  # of a cross-validation over the training split; 0 for a plain fit
    #: How a published figure was come by, where a run re-creates that; None for an honest run.
    protocol: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """Twelve hex digits over everything but the seed, which stands beside it in the name."""
        asked = {k: v for k, v in dataclasses.asdict(self).items() if k != "seed"}
        if not self.folds:  # so that runs from before there were folds are found again
            del asked["folds"]
        if self.protocol is None:  # nor protocols
            del asked["protocol"]
        text = json.dumps(asked, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def not_found_again(self) -> str | None:
        """Why each comparison makes this run anew, None for one that is found again."""
        return self.parameters.get(NOT_FOUND_AGAIN)

    @property
    def folder_name(self) -> str:
        return f"{self.key}-s{self.seed}"


def asked_of(
    parameters: Mapping[str, Any],
    model: str,
    dataset: Dataset,
    *,
    full: bool,
    reads_test: bool,
    seed: int,
) -> Asked:
    """What a run of a model with these parameters, as JSON has them, would be asked."""
    return Asked(
        dataset=dataset.sha256,
        model=model,
        parameters=parameters,
        full=full,
        reads_test=reads_test,
        seed=seed,
    )


def asked_of_row(
    dataset: Dataset,
    model: str,
    *,
    overrides: Mapping[str, Any],
    seed: int,
    full: bool,
    reads_test: bool,
) -> tuple[BaseEstimator, Asked]:
    """The unfitted classifier of a catalogue model, and what its run is asked.

    The seed of a deterministic model is 0, whatever is given.

    Raises
    ------
    UnknownNameError, UsageError
        When the model or one of its parameters doesn't exist or makes no sense.
    """
    classifier = classifier_of(model, overrides, dataset=dataset, random_state=seed)
    row = row_of(model)
    if row.deterministic:
        seed = 0
    return classifier, asked_of(
        plain(classifier), row.name, dataset, full=full, reads_test=reads_test, seed=seed
    )


def plain(value: Any) -> Any:
    """`value` as JSON that is equal exactly when the values are.

    For what the catalogue holds and what can be written in a command. Arrays are hashed; estimators
    give their class and parameters, classes and functions their names.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {value.dtype} {_digest(np.ascontiguousarray(value).data)}"
    if isinstance(value, BaseEstimator):
        # The seed stands beside the key, however deep in a pipeline it is set.
        parameters = value.get_params(deep=False).items()
        asked = {name: plain(p) for name, p in parameters if name != "random_state"}
        return {"class": _name(type(value)), **asked}
    if isinstance(value, type) or callable(value):
        return _name(value)
    return repr(value)


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{getattr(thing, '__qualname__', repr(thing))}"


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
