"""Model parameters as text: `epochs=3`, `pooling=true`, `hidden=(64,)`."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Mapping
from typing import Any

_WORDS = {"true": True, "false": False, "none": None}


def value_of(text: str) -> Any:
    """Parse a value: a number, true, false, none, a Python tuple or list, else the text itself.

    Integers have at most 64 bits; longer ones stay text.
    """
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escape sequences
            value = ast.literal_eval(text)
        return value if isinstance(value, float) or is_setting(value) else text
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def is_setting(value: Any) -> bool:
    """Whether a parameter can have this value in a command, in a file and in a run's record."""
    if isinstance(value, tuple | list):
        return all(map(is_setting, value))
    if isinstance(value, int):
        return abs(value) < 2**63
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str)


def text_of(value: Any) -> str:
    """Format a value so that ``value_of(text_of(value))`` is equal to it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value_of(value) == value:
        return value
    return repr(value)


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """Settings for people to read: `C 10.0, kernel rbf`."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())
