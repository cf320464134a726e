"""How much recipes of the catalogue vary over seeds, measured in advance: `measured_spread.json`.

The file comes with the package; `benchmarks/seed_spread.py` makes it. A key covers the data, the
recipe and what it is trained on, so a changed recipe has no entry.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from fittingroom.evaluation.seed_spread import SeedVariance

FILE = "measured_spread.json"


def measured_variance(key: str, n_seeds: int) -> SeedVariance | None:
    """The measured variance over seeds of the runs with that key, None if there is none.

    It is to be combined with that of `n_seeds` further fits, see `SeedVariance.measured`.
    """
    variance = _variances().get(key)
    return variance and variance.measured(n_seeds)


@cache
def _variances() -> dict[str, SeedVariance]:
    text = files("fittingroom.runs").joinpath(FILE).read_text(encoding="utf-8")
    return {
        recipe["key"]: SeedVariance(
            variance=recipe["variance"],
            degrees_of_freedom=recipe["seeds"] - 1,
            noise=recipe["noise"],
        )
        for recipe in json.loads(text)["recipes"]
    }
