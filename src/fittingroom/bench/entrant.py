"""Who takes part in a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import BaseEstimator, clone

from fittingroom.data.dataset import Dataset
from fittingroom.errors import UsageError
from fittingroom.models.catalog import (
    classifier_of,
    names_of,
    row_of,
)
from fittingroom.runs.asked import Asked, asked_of, plain
from fittingroom.runs.run import label
from fittingroom.runs.store import check_model_name


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A model that takes part: a row of the catalogue, or an estimator of the caller's own.

    `overrides` replace parameters of the row.
    """

    name: str
    own: BaseEstimator | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in the table."""
        return label(self.name, self.overrides)

    @property
    def deterministic(self) -> bool:
        if self.own is None:
            return row_of(self.name).deterministic
        try:
            return not _random_states(self.own)
        except Exception:  # it can't be fitted either, and its row will say why
            return False

    def seconds(self, dataset: Dataset) -> float | None:
        """Expected seconds of one fit on the catalogue's reference machine, None if unknown.

        Of what overrides change, it knows a network's epochs alone.
        """
        if self.own is not None:
            return None
        row, epochs = row_of(self.name), self.overrides.get("epochs")
        if not self.overrides:
            return row.expected_seconds(dataset)
        if row.family != "network" or len(self.overrides) > 1 or type(epochs) is not int:
            return None
        return row.expected_seconds(dataset, epochs=epochs)

    def classifier(self, dataset: Dataset, seed: int) -> BaseEstimator:
        if self.own is None:
            return classifier_of(self.name, self.overrides, dataset=dataset, random_state=seed)
        from fittingroom.models.network import NetworkClassifier

        own = clone(self.own).set_params(**dict.fromkeys(_random_states(self.own), seed))
        if isinstance(own, NetworkClassifier):
            own.set_params(
                image_shape=dataset.image_shape, mirror_keeps_class=dataset.mirror_keeps_class
            )
        return own

    def asked(self, dataset: Dataset, seed: int, full: bool) -> Asked:
        """What its run is asked.

        An own one is asked the same with every seed, but may be asked another thing each time that
        this is called; see `Asked.not_found_again`.
        """
        parameters = self._parameters(dataset)
        return asked_of(parameters, self.name, dataset, full=full, reads_test=True, seed=seed)

    def _parameters(self, dataset: Dataset) -> dict[str, Any]:
        """As JSON has them; the seed isn't one of them."""
        if self.own is None:
            parameters: dict[str, Any] = plain(self.classifier(dataset, 0))
            return parameters
        from fittingroom.runs.fingerprint import parameters_of, unlike_any

        try:
            return parameters_of(self.classifier(dataset, 0))
        except Exception as error:  # it can't be fitted either, and its row will say why
            return unlike_any(self.own, error)


def entrants_of(models: Sequence[str | Entrant] | Mapping[str, Any] | str) -> list[Entrant]:
    """Who takes part; `models` as in :func:`compare`.

    Raises
    ------
    UnknownNameError, UsageError
        When a name is unknown or a model is none.
    """
    if isinstance(models, Mapping) and models:
        return [_entrant(name, model) for name, model in models.items()]
    if isinstance(models, str) or not models:
        return [Entrant(name=name) for name in names_of(models if isinstance(models, str) else [])]
    named = [m if isinstance(m, Entrant) else Entrant(name=row_of(m).name) for m in models]
    return [*{entrant.label: entrant for entrant in named}.values()]


def _entrant(name: str, model: Any) -> Entrant:
    if model is None or isinstance(model, str):
        return Entrant(name=row_of(model or name).name)
    check_model_name(name)
    # Models of the catalogue needn't wait for torch.
    from torch import nn

    from fittingroom.models.network import NetworkClassifier

    if isinstance(model, nn.Module):
        model = NetworkClassifier(model)
    if not isinstance(model, BaseEstimator) or not hasattr(model, "fit"):
        raise UsageError(
            f"{name!r} is a {type(model).__name__}; give a scikit-learn classifier, a torch "
            "module or a name of the catalogue."
        )
    return Entrant(name=name, own=model)


def _random_states(estimator: BaseEstimator) -> list[str]:
    """The parameters that hold a seed, nested ones too."""
    return [p for p in estimator.get_params() if p.split("__")[-1] == "random_state"]
