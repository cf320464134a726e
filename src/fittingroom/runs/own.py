"""Estimators of the caller's own, which aren't in the catalogue, as models of a run."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, clone

from fittingroom.data.dataset import Dataset
from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.fingerprint import parameters_of, unlike_any
from fittingroom.runs.spec import RunSpec


def own_spec(dataset: Dataset, name: str, estimator: BaseEstimator, *, full: bool) -> RunSpec:
    """The spec with seed 0.

    The parameters are the same for every seed, but may differ at each call; see
    `RunSpec.not_found_again`.
    """
    parameters: dict[str, Any]
    try:
        parameters = parameters_of(with_seed(estimator, dataset, 0))
    except Exception as error:  # it can't be fitted either, and its row will say why
        parameters = unlike_any(estimator, error)
    return RunSpec(dataset=dataset.sha256, model=name, parameters=parameters, full=full)


def is_deterministic(estimator: BaseEstimator) -> bool:
    """Whether no parameter of an estimator holds a seed."""
    try:
        return not _random_states(estimator)
    except Exception:  # it can't be fitted either, and its row will say why
        return False


def with_seed(estimator: BaseEstimator, dataset: Dataset, seed: int) -> BaseEstimator:
    """An unfitted copy of an estimator, for a seed and the images of a data set."""
    copy = clone(estimator).set_params(**dict.fromkeys(_random_states(estimator), seed))
    if isinstance(copy, NetworkClassifier):
        copy.set_params(
            image_shape=dataset.image_shape, mirror_keeps_class=dataset.mirror_keeps_class
        )
    return copy


def _random_states(estimator: BaseEstimator) -> list[str]:
    """The parameters that hold a seed, nested ones too."""
    return [name for name in estimator.get_params() if name.split("__")[-1] == "random_state"]
