"""Text from elsewhere in one line, in which nothing steers a terminal or a program."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text, where signs that can't be printed are seen as codes such as `\\n` or `\\u202e`.

    They move a cursor, begin a command of a terminal, end a line or turn the direction of letters.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
