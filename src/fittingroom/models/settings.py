"""Parameters of models as people write them: `epochs=3`, `pooling=true`, `hidden=(64,)`."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

_WORDS = {"true": True, "false": False, "none": None}


def value_of(text: str) -> Any:
    """What is meant: a number, true, false, none, a Python tuple or list, else the text itself."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def text_of(value: Any) -> str:
    """How to write a value: ``value_of(text_of(value))`` is equal to it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value_of(value) == value:
        return value
    return repr(value)


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """To be read, not typed: `C 10.0, kernel rbf`."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())
