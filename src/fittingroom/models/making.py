"""Make a classifier of the catalogue: its row's parameters, and those that replace them."""

from __future__ import annotations

import inspect
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from fittingroom.errors import FittingroomError, UnknownNameError, UsageError
from fittingroom.models.catalog import row_of
from fittingroom.models.rows import ClassicalRow, NetworkRow
from fittingroom.training.recipe import Recipe

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from fittingroom.data.dataset import Dataset

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
    if isinstance(row, NetworkRow):
        from fittingroom.models.network import NetworkClassifier

        arguments = network_arguments(row, settings, dataset=dataset, random_state=random_state)
        return NetworkClassifier(**arguments)
    assert isinstance(row, ClassicalRow)
    with _told_as_usage(name, settings):
        return _make_classical(row, settings, _defaults(dataset, random_state))


def network_arguments(
    row: NetworkRow,
    settings: Mapping[str, Any],
    *,
    dataset: Dataset | None = None,
    random_state: int | None = 0,
) -> dict[str, Any]:
    """The arguments of a row's `NetworkClassifier`; parameters and errors as of `classifier_of`.

    PyTorch, which takes a second to import, is imported only if a setting is an option of the net.
    """
    with _told_as_usage(row.name, settings):
        return _network_arguments(row, {**_defaults(dataset, random_state), **settings})


def check_settings(name: str, settings: Mapping[str, Any]) -> None:
    """Refuse what `classifier_of` refuses."""
    row = row_of(name)
    if isinstance(row, NetworkRow):
        network_arguments(row, settings)
    else:
        classifier_of(name, settings)


@contextmanager
def _told_as_usage(name: str, settings: Mapping[str, Any]) -> Iterator[None]:
    """Turn the errors of making a classifier into sentences."""
    if "random_state" in settings:
        raise UsageError(f"random_state isn't a parameter of {name}; it is the seed of a run.")
    try:
        yield
    except FittingroomError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} can't be made with these parameters: {error}.") from error


def _defaults(dataset: Dataset | None, random_state: int | None) -> dict[str, Any]:
    """What a data set and a seed make of a classifier's parameters."""
    if dataset is None:
        return {"random_state": random_state}
    return {
        "random_state": random_state,
        "image_shape": dataset.image_shape,
        "mirror_keeps_class": dataset.mirror_keeps_class,
    }


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


def _network_arguments(row: NetworkRow, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Sort the settings into the recipe, the net's options and the classifier's own parameters."""
    own = _RECIPE_SETTINGS | _CLASSIFIER_SETTINGS
    net_options = _options_of(row.net) if settings.keys() - own else frozenset()
    for name in settings:
        if name not in net_options | own:
            raise UnknownNameError("option", name, net_options | own)

    def select(names: Container[str]) -> dict[str, Any]:
        return {name: settings[name] for name in settings if name in names}

    recipe, options = select(_RECIPE_SETTINGS), dict(row.options)
    if "augmentation" in recipe:
        recipe["augmentation"] = _resolve_augmentation(row, recipe["augmentation"])
    if row.mirror_option is not None:
        options[row.mirror_option] = settings.get("mirror_keeps_class", False)
    return {
        "net": row.net,
        "recipe": replace(row.recipe, **recipe),
        "net_options": {**options, **select(net_options)},
        **select(_CLASSIFIER_SETTINGS),
    }


def _options_of(net: str) -> frozenset[str]:
    """The names of a net's options."""
    from fittingroom.models.network import NETS

    parameters = inspect.signature(NETS[net]).parameters.values()
    return frozenset(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def _resolve_augmentation(row: NetworkRow, value: Any) -> Any:
    """The recipe's value for a setting; an invalid one is left for the recipe to refuse."""
    if value is None:  # from `--set augmentation=none`
        return "none"
    if row.augmentation_switch:
        return row.recipe.augmentation if value is True else value or "none"
    return value
