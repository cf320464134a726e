"""Text from elsewhere in one line, in which nothing steers a terminal or a program."""

from __future__ import annotations

import unicodedata

#: Signs that can't be printed by themselves but join or part letters, of Persian and of emoji.
_JOINERS = "\u200c\u200d"


def printable(text: str) -> str:
    """The text, where signs that steer are seen as codes such as `\\n` or `\\u202e`.

    They move a cursor, begin a command of a terminal, end a line or turn the direction of letters.
    """
    if text.isprintable():
        return text
    return "".join(sign if _is_harmless(sign) else ascii(sign)[1:-1] for sign in text)


def _is_harmless(sign: str) -> bool:
    return sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs"
