"""The errors a user meets. Each message is one sentence that names the value and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FittingroomError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code = 1


class UsageError(FittingroomError):
    """What was asked for makes no sense: a wrong option, an impossible number."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that no catalogue has; the message proposes the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}."
        super().__init__(f"unknown {kind} {name!r}; {hint}")
        self.name = name
        self.near = near


class DataError(FittingroomError):
    """A data set can't be found, fetched or believed."""


class InputError(FittingroomError, ValueError):
    """Arrays handed to a classifier or a metric that it can't take."""


class TrainingError(FittingroomError):
    """A fit can't go on."""


class NotFiniteError(TrainingError):
    """The loss became NaN or infinite."""


class ClusterError(FittingroomError):
    """A cluster can't be reached, or doesn't do what it should."""


class StoreError(FittingroomError):
    """A run folder can't be read or written."""


class ReportError(FittingroomError):
    """A page or another file can't be made of results that are whole."""


class BundleError(FittingroomError):
    """A saved classifier can't be written, read or believed."""
