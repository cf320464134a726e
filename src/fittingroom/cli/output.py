"""What is printed: data on stdout, messages on stderr, and nothing that steers a terminal."""

from __future__ import annotations

import re
import sys

from fittingroom.errors import StoreError

# What moves the cursor, begins a command of the terminal, ends a line, or turns the direction of
# letters. The name of a stranger's file, class or model may hold any of it.
_STEERING = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]",
)


def say(text: str) -> None:
    """Data, on stdout, where they are at once: what comes after them may fail.

    Raises StoreError where nothing can be written there, such as a file on a full disk.
    """
    try:
        print(_harmless(text), flush=True)  # noqa: T201
    except OSError as error:
        sys.stdout = None  # or Python would try again as it ends
        reason = (error.strerror or str(error)).lower()
        raise StoreError(f"standard output can't be written: {reason}.") from error


def note(text: str) -> None:
    """A message, on stderr."""
    print(_harmless(text), file=sys.stderr)  # noqa: T201


def one_line(text: str) -> str:
    """Text in one line, such as a sentence or a cell, where signs that steer are seen as codes."""
    return _STEERING.sub(lambda sign: ascii(sign[0])[1:-1], text)


def _harmless(text: str) -> str:
    """Our own lines, each of them `one_line`."""
    return "\n".join(map(one_line, text.split("\n")))
