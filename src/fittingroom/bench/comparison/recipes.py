"""The recipes of a table, by its saved runs: which images their fits have right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fittingroom.bench.comparison.comparison import Comparison, Entry
from fittingroom.bench.comparison.groups import Groups
from fittingroom.evaluation.recipe_fits import AccuracyEstimate, Fits, accuracies
from fittingroom.runs.measured_spread import measured_variance
from fittingroom.runs.run import Part, Run


def looks_of(comparison: Comparison | None, groups: Groups) -> list[dict[str, int]]:
    """How many seeds each row had in each earlier look."""
    if comparison is None:
        return []
    return [
        {label: look[entry.key] for label, (entry, _) in groups.items() if entry.key in look}
        for look in comparison.looks
    ]


#: Above this ratio of the largest class to the smallest, classes count alike.
UNBALANCED = 2.0


def are_unbalanced(labels: NDArray[np.integer]) -> bool:
    """Whether the largest class has more than twice as many images as the smallest.

    `labels` are (n,); a class without images counts as none. An accuracy would then mostly be that
    of the largest classes.
    """
    _, sizes = np.unique(labels, return_counts=True)
    return bool(sizes.max() > UNBALANCED * sizes.min())


def recipes_of(
    groups: Groups,
    parts: Mapping[str, Sequence[Part]],
    copies: NDArray[np.int64] | None,
    *,
    balanced: bool,
) -> dict[str, Fits]:
    """The fits of each row, with what is known about its recipe; `balanced` as in `fits_of`."""
    recipes = {}
    for label, by_seed in parts.items():
        entry, runs = groups[label]
        first = next(run for run in runs if run is not None)
        recipes[label] = fits_of(entry, first, by_seed, copies, balanced=balanced)
    return recipes


def fits_of(
    entry: Entry,
    first: Run,
    parts: Sequence[Part],
    copies: NDArray[np.int64] | None,
    *,
    balanced: bool,
) -> Fits:
    """The fits of one row, whose runs have these parts; `first` is any of its runs.

    `balanced` is whether all classes count alike.
    """
    return Fits(
        np.stack([part.correct for part in parts]),
        deterministic=entry.deterministic,
        kind="classical" if first.record.family == "classical" else "network",
        known=measured_variance(entry.key, len(parts)),
        copies=copies,
        classes=parts[0].labels if balanced else None,
    )


def validated_of(
    groups: Groups, finished: Mapping[str, Sequence[Run]], *, balanced: bool
) -> Mapping[str, AccuracyEstimate]:
    """The validation accuracy of each row that has one; `balanced` as in `fits_of`."""
    parts = {label: [run.validation for run in runs] for label, runs in finished.items()}
    saved = {label: [p for p in by_seed if p is not None] for label, by_seed in parts.items()}
    saved = {label: own for label, own in saved.items() if own}
    recipes = recipes_of(groups, saved, None, balanced=balanced)
    return accuracies({label: replace(fits, known=None) for label, fits in recipes.items()})
