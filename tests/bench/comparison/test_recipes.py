"""recipes.py: what is known about each row besides its own runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.comparison.comparison import Comparison, Entry
from fittingroom.bench.comparison.recipes import (
    are_unbalanced,
    fits_of,
    looks_of,
    validated_of,
)
from fittingroom.runs.run import Part, Run


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


def run_of(family: str, validation: Part | None = None) -> Any:
    """A saved run, as far as these functions look at it."""
    return SimpleNamespace(record=SimpleNamespace(family=family), validation=validation)


def part(*right: bool) -> Part:
    labels = np.arange(len(right)) % 2
    predicted = np.where(right, labels, 1 - labels)
    return Part(np.arange(len(right)), np.eye(2, dtype=np.float32)[predicted], labels)


@pytest.mark.parametrize(
    ("family", "kind"), [("classical", "classical"), ("network", "network"), ("own", "network")]
)
def test_the_fits_of_a_row(family: str, kind: str) -> None:
    parts = [part(True, False, True), part(True, True, False)]
    fits = fits_of(entry("a", "k"), run_of(family), parts, None, balanced=False)
    assert fits.kind == kind  # which seed spreads it is pooled with
    assert fits.correct.tolist() == [[True, False, True], [True, True, False]]
    assert fits.classes is None
    fits = fits_of(entry("a", "k"), run_of(family), parts, None, balanced=True)
    assert fits.classes is not None
    assert fits.classes.tolist() == [0, 1, 0]


def test_rows_without_a_validation_part_have_no_validation_accuracy() -> None:
    runs = {
        "a": [run_of("network", part(*[True] * 8, *[False] * 2)) for _ in range(2)],
        "b": [run_of("network"), run_of("network", part(*[True] * 10))],
        "c": [run_of("network")],
    }
    groups: Any = {label: (entry(label, label), [None, *of]) for label, of in runs.items()}
    found = validated_of(groups, runs, balanced=False)
    means = {label: estimate.mean for label, estimate in found.items()}
    assert means == pytest.approx({"a": 0.8, "b": 1.0})
