"""How the models that are finished stand while others are still fitted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fittingroom.bench.comparison.comparison import Entry
from fittingroom.bench.comparison.recipes import are_unbalanced, fits_of
from fittingroom.evaluation.recipe_fits import Fits, accuracies
from fittingroom.runs.run import Run


class Standing:
    """The finished models of a comparison that read the test split.

    Parameters
    ----------
    copies : the groups of copied test images, see :class:`.recipe_fits.Fits`
    """

    def __init__(self, copies: NDArray[np.int64] | None) -> None:
        self._copies = copies
        self._recipes: dict[str, Fits] = {}

    def add(self, entry: Entry, runs: Sequence[Run]) -> str:
        """Add a model; returns its accuracy, interval and place so far, in words.

        Empty if the model wasn't tested. Raises StoreError if its predictions can't be read.
        """
        parts = [run.test for run in runs]
        tested = [part for part in parts if part is not None]
        if not tested:
            return ""
        balanced = are_unbalanced(tested[0].labels)
        self._recipes[entry.label] = fits_of(
            entry, runs[0], tested, self._copies, balanced=balanced
        )
        estimates = accuracies(self._recipes)
        own = estimates[entry.label]
        interval = (
            "" if own.interval is None else " ({:.4f} to {:.4f})".format(*own.interval.bounds)
        )
        place = 1 + sum(other.mean > own.mean for other in estimates.values())
        standing = f", {_ordinal(place)} of {len(estimates)} so far" if len(estimates) > 1 else ""
        which = "balanced" if balanced else "test"
        return f"{which} accuracy {own.mean:.4f}{interval}{standing}"


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
