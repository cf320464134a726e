"""Results as pandas data frames, if pandas is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fittingroom.errors import UsageError

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(rows: Iterable[Mapping[str, Any]], index: str | None = None) -> DataFrame:
    """A data frame with one row per mapping; the column `index`, if given, becomes the index.

    Raises UsageError if pandas isn't installed.
    """
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise UsageError(
            "to_frame() needs pandas; install it with `pip install pandas`, or use to_dict()."
        ) from error
    table = DataFrame(list(rows))
    return table if index is None else table.set_index(index)
