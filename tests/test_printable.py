from __future__ import annotations

import pytest

from fittingroom.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 😀 長袖", "Größe 😀 長袖"),
        (
            "at\u202f5\u00a0PM \U0001f469\u200d\U0001f52c",
            "at\u202f5\u00a0PM \U0001f469\u200d\U0001f52c",
        ),
        ("a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        ("\u202ea\u2028\u061c", "\\u202ea\\u2028\\u061c"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
