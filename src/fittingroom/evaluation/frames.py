"""Results as pandas data frames, if pandas is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fittingroom.errors import UsageError

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(rows: Iterable[Mapping[str, Any]], index: str | list[str] | None = None) -> DataFrame:
    """A data frame with one row per mapping; the columns `index`, if given, become the index.

    Raises UsageError if pandas isn't installed.
    """
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise UsageError(
            "a data frame needs pandas; install it with `pip install pandas`, or use to_dict()."
        ) from error
    table = DataFrame(list(rows))
    return table if index is None else table.set_index(index)
