"""Results as pandas data frames, for those who have pandas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fittingroom.errors import UsageError

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(rows: Iterable[Mapping[str, Any]], index: str | None = None) -> DataFrame:
    """A line for each mapping, with `index` as the names of the lines.

    Raises UsageError where pandas isn't installed.
    """
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise UsageError(
            "to_frame() needs pandas; install it with `pip install pandas`, or use to_dict()."
        ) from error
    made = DataFrame(list(rows))
    return made if index is None else made.set_index(index)
