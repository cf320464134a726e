"""The options that a saved network may have: those of its signature, within their bounds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, create_model

from fittingroom.nets.bounds import Length, Within

if TYPE_CHECKING:
    from torch import nn

#: Pydantic allows nothing unknown, converts nothing, and refuses infinite numbers.
CONFIG = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


@cache
def audit_of(net: Callable[..., nn.Module]) -> type[BaseModel]:
    """The pydantic model of a network's options, all of them required.

    Made from the keyword-only parameters of its signature; see `nets/bounds.py`.

    Raises
    ------
    TypeError : an option has no bound, or a type that JSON lacks
    """
    fields: dict[str, Any] = {}
    for name, annotation in _annotations(net).items():
        try:
            fields[name] = (_pydantic_type(annotation), ...)
        except TypeError as error:
            raise TypeError(f"{name} of {net.__name__} can't be saved: {error}") from error
    return create_model(f"{net.__name__}Options", __config__=CONFIG, **fields)


def _annotations(net: Callable[..., nn.Module]) -> dict[str, Any]:
    """Annotations by option; their text is evaluated in the network's module."""
    params = inspect.signature(net, eval_str=True).parameters.values()
    return {
        option.name: option.annotation for option in params if option.kind is option.KEYWORD_ONLY
    }


def _pydantic_type(kind: Any) -> Any:
    """The same type as in JSON, with pydantic's bounds in place of ours."""
    origin = get_origin(kind)
    if kind in (bool, NoneType) or origin is Literal:
        return kind
    if origin in (Union, UnionType):
        return Union[tuple(map(_pydantic_type, get_args(kind)))]  # noqa: UP007, only this takes a tuple
    if origin is Annotated:
        match get_args(kind):
            case (number, Within() as bound) if number in (int, float):
                return Annotated[number, Field(ge=bound.least, le=bound.greatest)]
            case (values, Length() as bound) if get_origin(values) is Sequence:
                item: Any = _pydantic_type(*get_args(values))
                limits = Field(min_length=bound.least, max_length=bound.greatest)
                return Annotated[list[item], limits]
    raise TypeError(f"{kind} needs a bound, Within of a number or Length of a Sequence.")
