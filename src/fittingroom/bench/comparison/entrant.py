"""The entrants of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sklearn.base import BaseEstimator

from fittingroom.data.dataset import Dataset
from fittingroom.errors import UsageError
from fittingroom.models.catalog import names_of, row_of
from fittingroom.runs.spec import RunSpec, label, spec_of
from fittingroom.runs.store import check_model_name


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A model in a comparison: a row of the catalogue, or an estimator of the caller's own.

    `settings` replace defaults of the row.
    """

    name: str
    own: BaseEstimator | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in the table."""
        return label(self.name, self.settings)

    @property
    def deterministic(self) -> bool:
        if self.own is None:
            return row_of(self.name).deterministic
        from fittingroom.runs.own import is_deterministic

        return is_deterministic(self.own)

    def spec(self, dataset: Dataset, *, full: bool) -> RunSpec:
        """The spec of its fit with seed 0."""
        if self.own is None:
            return spec_of(dataset, self.name, settings=self.settings, full=full)
        from fittingroom.runs.own import own_spec

        return own_spec(dataset, self.name, self.own, full=full)


def entrants_of(models: Sequence[str | Entrant] | Mapping[str, Any] | str) -> list[Entrant]:
    """The entrants of a comparison; `models` as in :func:`compare`.

    Raises
    ------
    UnknownNameError, UsageError
        When a name is unknown, or an object isn't a model.
    """
    if isinstance(models, Mapping) and models:
        return [_entrant(name, model) for name, model in models.items()]
    if isinstance(models, str) or not models:
        return [Entrant(name=name) for name in names_of(models if isinstance(models, str) else [])]
    entrants = [m if isinstance(m, Entrant) else Entrant(name=row_of(m).name) for m in models]
    return [*{entrant.label: entrant for entrant in entrants}.values()]


def _entrant(name: str, model: Any) -> Entrant:
    if model is None or isinstance(model, str):
        return Entrant(name=row_of(model or name).name)
    check_model_name(name)
    # Imported here so that models of the catalogue needn't wait for torch.
    from torch import nn

    from fittingroom.models.network import NetworkClassifier

    builds = issubclass(model, nn.Module) if isinstance(model, type) else callable(model)
    if isinstance(model, nn.Module) or builds:
        model = NetworkClassifier(model)
    if not isinstance(model, BaseEstimator) or not hasattr(model, "fit"):
        raise UsageError(
            f"{name!r} is a {type(model).__name__}; give a scikit-learn classifier, a function "
            "that returns a torch module, or a name of the catalogue."
        )
    return Entrant(name=name, own=model)
