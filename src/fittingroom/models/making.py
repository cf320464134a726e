"""Make a classifier of the catalogue: its row's parameters, and those that replace them."""

from __future__ import annotations

import inspect
from collections.abc import Container, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from fittingroom.errors import FittingroomError, UnknownNameError, UsageError
from fittingroom.models.catalog import row_of
from fittingroom.models.rows import ClassicalRow, NetworkRow
from fittingroom.training.recipe import Recipe

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from fittingroom.data.dataset import Dataset
    from fittingroom.models.network import NetworkClassifier

#: Settings of a network that belong to neither its recipe nor its options.
_CLASSIFIER_SETTINGS = frozenset({"image_shape", "mirror_keeps_class", "random_state"})
_RECIPE_SETTINGS = frozenset(recipe_field.name for recipe_field in fields(Recipe))


def make_classifier(
    name: str,
    *,
    dataset: Dataset | None = None,
    random_state: int | None = 0,
    **parameters: Any,
) -> BaseEstimator:
    """An unfitted classifier of the catalogue.

    Parameters
    ----------
    name : a key of ``MODELS`` or ``BASELINES``
    dataset : gives the images' shape, and whether a mirrored image keeps its class
    random_state : seed, for classifiers that aren't deterministic
    parameters : replace those of the row: for a classical model, arguments of its builder; for a
        network, fields of its recipe, options of its net, ``image_shape`` and
        ``mirror_keeps_class``

    Raises
    ------
    UnknownNameError : no such classifier, or it has no such parameter
    UsageError : a parameter has an invalid value
    """
    return classifier_of(name, parameters, dataset=dataset, random_state=random_state)


def classifier_of(
    name: str,
    settings: Mapping[str, Any],
    *,
    dataset: Dataset | None = None,
    random_state: int | None = 0,
) -> BaseEstimator:
    """As `make_classifier`, with the parameters in a mapping, whatever their names.

    The seed isn't one of them: it belongs to the run.

    Raises
    ------
    UnknownNameError : no such classifier, or it has no such parameter
    UsageError : a parameter has an invalid value
    """
    row = row_of(name)
    if "random_state" in settings:
        raise UsageError(f"random_state isn't a parameter of {name}; it is the seed of a run.")
    defaults: dict[str, Any] = {"random_state": random_state}
    if dataset is not None:
        defaults["image_shape"] = dataset.image_shape
        defaults["mirror_keeps_class"] = dataset.mirror_keeps_class
    try:
        if isinstance(row, NetworkRow):
            return _make_network(row, {**defaults, **settings})
        assert isinstance(row, ClassicalRow)
        return _make_classical(row, settings, defaults)
    except FittingroomError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} can't be made with these parameters: {error}.") from error


def _make_classical(
    row: ClassicalRow, settings: Mapping[str, Any], defaults: Mapping[str, Any]
) -> BaseEstimator:
    """Call the builder with those `defaults` that it takes; it must take all `settings`."""
    parameters = inspect.signature(row.build).parameters
    settable = parameters.keys() - {"random_state"}
    for name in settings:
        if name not in settable:
            raise UnknownNameError(f"parameter of {row.name}", name, settable)
    return row.build(**{**{k: v for k, v in defaults.items() if k in parameters}, **settings})


def _make_network(row: NetworkRow, settings: Mapping[str, Any]) -> NetworkClassifier:
    """Sort the settings into the recipe, the net's options and the classifier's own parameters."""
    from fittingroom.models.network import NETS, NetworkClassifier

    net_options = {
        name
        for name, parameter in inspect.signature(NETS[row.net]).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    settable = net_options | _RECIPE_SETTINGS | _CLASSIFIER_SETTINGS
    for name in settings:
        if name not in settable:
            raise UnknownNameError("option", name, settable)

    def select(names: Container[str]) -> dict[str, Any]:
        return {name: settings[name] for name in settings if name in names}

    recipe, options = select(_RECIPE_SETTINGS), dict(row.options)
    if "augmentation" in recipe:
        recipe["augmentation"] = _resolve_augmentation(row, recipe["augmentation"])
    if row.mirror_option is not None:
        options[row.mirror_option] = settings.get("mirror_keeps_class", False)
    return NetworkClassifier(
        row.net,
        recipe=replace(row.recipe, **recipe),
        net_options={**options, **select(net_options)},
        **select(_CLASSIFIER_SETTINGS),
    )


def _resolve_augmentation(row: NetworkRow, value: Any) -> Any:
    """The recipe's value for a setting; an invalid one is left for the recipe to refuse."""
    if value is None:  # from `--set augmentation=none`
        return "none"
    if row.augmentation_switch:
        return row.recipe.augmentation if value is True else value or "none"
    return value
