from __future__ import annotations

from collections.abc import Sequence

import pytest

from fittingroom.bench.comparison.rows import Row
from fittingroom.reporting.alike import groups_alike


@pytest.mark.parametrize(
    ("alike", "groups"),
    [
        # Not transitive: b can't be told apart from a, nor from c, but a can from c.
        (["ab", "bc"], [(0, 1), (1, 2)]),
        (["ab", "bc", "ac"], [(0, 2)]),
        (["ab", "bc", "ac", "cd"], [(0, 2), (2, 3)]),
        (["ac"], []),
        ([], []),
    ],
)
def test_bars_join_stretches_of_which_no_two_differ(
    alike: Sequence[str], groups: list[tuple[int, int]]
) -> None:
    rows = [
        Row(
            model=name,
            indistinguishable_from=tuple(
                other for other in "abcd" if other != name and {name, other} in map(set, alike)
            ),
        )
        for name in "abcd"
    ]
    assert groups_alike(rows) == groups
