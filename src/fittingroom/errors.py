"""The errors a user meets. Each message is one sentence that names the value and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FittingroomError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code = 1


class UsageError(FittingroomError):
    """The request makes no sense: a wrong option, an impossible number."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name is unknown; the message suggests the closest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}."
        super().__init__(f"unknown {kind} {name!r}; {hint}")
        self.name = name
        self.near = near


class DataError(FittingroomError):
    """A data set can't be found or fetched, or is malformed."""


class InputError(FittingroomError, ValueError):
    """The arrays passed to a data set, a classifier or a metric are invalid."""


class TrainingError(FittingroomError):
    """A fit can't continue."""


class NotFiniteError(TrainingError):
    """The loss became NaN or infinite."""


class ClusterError(FittingroomError):
    """A cluster can't be reached, or fails."""


class StoreError(FittingroomError):
    """A run folder can't be read or written."""


class ReportError(FittingroomError):
    """A page or another file can't be made from the results."""


class BundleError(FittingroomError):
    """A saved classifier can't be written, read or trusted."""


def install_command(extra: str) -> str:
    """What to run where a package of an extra is missing."""
    return f"pip install 'fittingroom[{extra}]'"
