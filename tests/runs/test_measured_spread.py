"""measured_spread.json: it matches the current recipes."""

from __future__ import annotations

import json
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import pytest
import seed_spread

from fittingroom.data.catalog import DATASETS
from fittingroom.models.catalog import row_of
from fittingroom.runs.measured_spread import FILE, measured_variance
from fittingroom.runs.spec import spec_of

RECIPES = json.loads(files("fittingroom.runs").joinpath(FILE).read_text("utf8"))["recipes"]


def key_of(model: str, **options: Any) -> str:
    row = DATASETS["fashion-mnist"]
    dataset: Any = SimpleNamespace(
        sha256=row.content, image_shape=(28, 28), mirror_keeps_class=row.mirror_keeps_class
    )
    return spec_of(dataset, model, seed=3, **options).key


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe["model"])
def test_each_is_of_a_current_recipe(recipe: dict[str, Any]) -> None:
    (case,) = (case for case in seed_spread.CASES if case.spec().key == recipe["key"])
    assert not row_of(case.model).deterministic
    assert recipe["seeds"] >= 10
    assert 0 < recipe["noise"] < 0.003**2
    assert 0 < recipe["variance"] < 0.02**2
    for seeds, degrees in ((1, 5), (recipe["seeds"] - 2, 2), (recipe["seeds"] + 3, 0)):
        known = measured_variance(recipe["key"], seeds)
        assert known is not None
        assert (known.variance, known.degrees_of_freedom) == (recipe["variance"], degrees)


def test_the_networks_of_the_demo_are_among_them() -> None:
    assert {"mlp-256-256", "cnn-32", "random-forest"} <= {each["model"] for each in RECIPES}
    assert len({each["key"] for each in RECIPES}) == len(RECIPES)


def test_another_recipe_is_not() -> None:
    assert measured_variance(key_of("cnn-32", settings={"epochs": 3}), 1) is None
    assert measured_variance(key_of("cnn-32", full=True), 1) is None
    assert measured_variance("", 1) is None
