"""How much recipes of the catalogue vary over seeds, measured beforehand: `measured_spread.json`.

It comes with the package, made by `benchmarks/seed_spread.py`. A key covers the data, the recipe
and what it is trained on, so a changed recipe has no entry.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from fittingroom.evaluation.seed_spread import SeedVariance

FILE = "measured_spread.json"


def measured_variance(key: str, seeds: int) -> SeedVariance | None:
    """What is known of the variance over seeds of the runs with that key, None where nothing is.

    It is believed beside that of so many fits of one's own, see `SeedVariance.measured`.
    """
    known = _measured().get(key)
    return known and known.measured(seeds)


@cache
def _measured() -> dict[str, SeedVariance]:
    text = files("fittingroom.runs").joinpath(FILE).read_text(encoding="utf-8")
    return {
        recipe["key"]: SeedVariance(
            variance=recipe["variance"],
            degrees_of_freedom=recipe["seeds"] - 1,
            noise=recipe["noise"],
        )
        for recipe in json.loads(text)["recipes"]
    }
