"""Make untrusted text safe to print: one line, without control characters."""

from __future__ import annotations

import unicodedata

#: Zero-width characters, which join or separate letters in Persian and emoji.
_JOINERS = "\u200c\u200d"


def printable(text: str) -> str:
    """Escape control characters, as codes such as `\\n` or `\\u202e`.

    They move the cursor, start a terminal command, end a line or reverse the direction of text.
    """
    if text.isprintable():
        return text
    return "".join(char if _is_harmless(char) else ascii(char)[1:-1] for char in text)


def _is_harmless(char: str) -> bool:
    return char.isprintable() or char in _JOINERS or unicodedata.category(char) == "Zs"
