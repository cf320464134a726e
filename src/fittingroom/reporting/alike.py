"""Groups of models that can't be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fittingroom.bench.comparison.rows import Row


def groups_alike(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """The largest stretches (first, last) of rows of which no two can be told apart.

    `rows` stand in descending order of accuracy. Stretches of one row are left out.
    """
    alike = [{row.model, *row.indistinguishable_from} for row in rows]
    groups: list[tuple[int, int]] = []
    for first in range(len(rows)):
        last = first
        while last + 1 < len(rows) and all(
            rows[last + 1].model in alike[i] for i in range(first, last + 1)
        ):
            last += 1
        if last > first and (not groups or last > groups[-1][1]):
            groups.append((first, last))
    return groups
