"""What is printed: data on stdout, messages on stderr, and nothing that steers a terminal."""

from __future__ import annotations

import sys

from fittingroom.errors import StoreError
from fittingroom.printable import printable


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


def _harmless(text: str) -> str:
    """Our own lines, of which each is printable."""
    return "\n".join(map(printable, text.split("\n")))
