"""recipes.py: what is known about each row besides its own runs."""

from __future__ import annotations

import numpy as np
import pytest

from fittingroom.bench.comparison.comparison import Comparison, Entry
from fittingroom.bench.comparison.recipes import are_unbalanced, looks_of
from fittingroom.runs.run import Run


def entry(label: str, key: str) -> Entry:
    return Entry(
        label=label, model=label, key=key, seeds=(0,), deterministic=False, trained_on=None
    )


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ((), []),
        (({"k": 3, "gone": 3},), [{"a": 3}]),
        (({"k": 3}, {"l": 5, "k": 5}), [{"a": 3}, {"a": 5, "b": 5}]),
    ],
)
def test_looks_are_matched_by_key(
    looks: tuple[dict[str, int], ...], expected: list[dict[str, int]]
) -> None:
    """A row may have another label now, and a model may be gone."""
    groups: dict[str, tuple[Entry, list[Run]]] = {
        label: (entry(label, key), []) for label, key in (("a", "k"), ("b", "l"))
    }
    entries = tuple(entry for entry, _ in groups.values())
    assert looks_of(Comparison(entries=entries, looks=looks), groups) == expected
    assert looks_of(None, groups) == []


@pytest.mark.parametrize(
    ("sizes", "unbalanced"),
    [([10, 20], False), ([10, 21], True), ([5, 0, 10], False), ([7], False), ([1, 1, 3], True)],
)
def test_classes_are_unbalanced_above_twice_as_many_images(
    sizes: list[int], unbalanced: bool
) -> None:
    assert are_unbalanced(np.repeat(np.arange(len(sizes)), sizes)) is unbalanced
