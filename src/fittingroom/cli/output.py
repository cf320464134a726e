"""Printing: data on stdout, messages on stderr, control characters escaped."""

from __future__ import annotations

import sys

from fittingroom.errors import StoreError
from fittingroom.printable import printable

#: Whether `--quiet` was given: neither progress nor notes are printed.
quiet = False


def say(text: str) -> None:
    """Print data on stdout and flush them, as later steps may fail.

    Raises StoreError if stdout can't be written, for example to a full disk.
    """
    try:
        print(_escape(text), flush=True)  # noqa: T201
    except OSError as error:
        sys.stdout = None  # else Python flushes it again at exit
        reason = (error.strerror or str(error)).lower()
        raise StoreError(f"standard output can't be written: {reason}.") from error


def note(text: str) -> None:
    """Print a message on stderr, unless `--quiet` was given."""
    if not quiet:
        warn(text)


def warn(text: str) -> None:
    """Print an error or a warning on stderr."""
    print(_escape(text), file=sys.stderr)  # noqa: T201


def _escape(text: str) -> str:
    """The text with everything but its line breaks made printable."""
    return "\n".join(map(printable, text.split("\n")))
