from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from fittingroom.bench.comparison.comparison import FILE, Comparison, Entry
from fittingroom.errors import StoreError
from fittingroom.runs.store import Store

MakeEntry = Callable[..., Entry]


def test_a_comparison_is_read_as_it_was_saved(store: Store, entry: MakeEntry) -> None:
    assert Comparison.load(store) is None
    entries = entry("knn", 1, fixed=True).ended("ok"), entry("cnn-32", 3).ended("nan", "diverged")
    comparison = Comparison(entries=entries, command="fittingroom compare").looked_at()
    comparison.save(store)
    assert Comparison.load(store) == comparison


def test_a_look_counts_the_seeds_of_finished_models(entry: MakeEntry) -> None:
    done, under_way = entry("knn", 2).ended("ok"), entry("cnn-32", 3)
    first = Comparison(entries=(done, under_way)).looked_at()
    assert first.looks == ({done.key: 2},)
    assert first.looked_at().looks == first.looks, "the same table again"
    later = dataclasses.replace(first, entries=(done, under_way.ended("ok"))).looked_at()
    assert later.looks == ({done.key: 2}, {done.key: 2, under_way.key: 3})


@pytest.mark.parametrize(
    ("fields", "looks", "complaint"),
    [
        ({"label": "a\x1b[2J"}, (), "is not a model's name"),
        ({"seeds": ()}, (), "knn has no seeds"),
        ({}, ({"key": 3}, {"key": 0}), "a table was shown without seeds"),
    ],
)
def test_an_impossible_comparison_is_refused(
    store: Store, entry: MakeEntry, fields: dict[str, object], looks: object, complaint: str
) -> None:
    changed = dataclasses.replace(entry("knn", 1), **fields)  # type: ignore[arg-type]
    Comparison(entries=(changed,), looks=looks).save(store)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=f"{FILE} can't be read: .*{complaint}") as refusal:
        Comparison.load(store)
    assert refusal.value.args[0].isprintable()
