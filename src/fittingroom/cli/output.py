"""Printing: data on stdout, messages on stderr, control characters escaped."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from typing import TextIO

from fittingroom.errors import StoreError
from fittingroom.printable import printable

#: Words with single spaces between them: no row of a table, and no JSON.
_SENTENCE = re.compile(r"\w\S*( \S+)+$")
#: Whether `--quiet` was given: neither progress nor notes are printed.
quiet = False


def say(text: str) -> None:
    """Print data on stdout and flush them, as later steps may fail.

    Raises StoreError if stdout can't be written, for example to a full disk. Where whoever read it
    has gone, as in `fittingroom models | head`, the command ends without an error. The signal for
    that (SIGPIPE) stays ignored, else a child or a client that has gone would end it too.
    """
    try:
        print(_wrap(_escape(text), sys.stdout), flush=True)  # noqa: T201
    except BrokenPipeError:
        sys.stdout = None  # else Python flushes it again at exit
        sys.exit(0)
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
    print(_wrap(_escape(text), sys.stderr), file=sys.stderr)  # noqa: T201


def _wrap(text: str, stream: TextIO | None) -> str:
    """Break sentences between words, not within them, where people read them on a terminal."""
    if stream is None or not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(
        "\n".join(textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False))
        if len(line) > width and _SENTENCE.match(line)
        else line
        for line in text.split("\n")
    )


def _escape(text: str) -> str:
    """The text with everything but its line breaks made printable."""
    return "\n".join(map(printable, text.split("\n")))
