from __future__ import annotations

from typing import Any

import pytest

from fittingroom.models.settings import text_of, value_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", False),
        ("none", None),
        ("one-cycle", "one-cycle"),
        ("(64, 32)", (64, 32)),
        ("'none'", "none"),
        ("f(x)", "f(x)"),
        ("", ""),
    ],
)
def test_texts_are_parsed_as_values(text: str, value: Any) -> None:
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)


@pytest.mark.parametrize(
    "value", [0.1 + 0.2, 1e30, 3, True, None, "none", "true", "3", "a b", (64,), [1, 2], "", "x'y"]
)
def test_formatted_values_are_parsed_back(value: Any) -> None:
    assert value_of(text_of(value)) == value
