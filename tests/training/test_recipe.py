from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from fittingroom.errors import UsageError
from fittingroom.training.recipe import Recipe


def test_survives_json() -> None:
    recipe = Recipe(epochs=3, patience=2, restore=True, stop_at=2)
    assert Recipe(**json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", True),
        ("batch_size", -1),
        ("stop_at", 0),
        ("patience", 0),
        ("learning_rate", 0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", "fast"),
        ("weight_decay", -1e-9),
        ("momentum", 1.0),
        ("label_smoothing", 1),
        ("averaging", -0.1),
        ("warmup", 1.5),
        ("loss", "hinge"),
        ("optimizer", "sdg"),
        ("schedule", None),
        ("augmentation", "flip"),
        ("precision", "float16"),
        ("keep", "best"),
        ("watch", "training-loss"),
        ("nesterov", 1),
        ("restore", "yes"),
        ("device", ""),
    ],
)
def test_an_invalid_value_is_refused_in_one_sentence(field: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        Recipe(**{field: value})
    message = str(caught.value)
    assert message.startswith(field)
    assert repr(value) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "fields",
    [
        {"stop_at": 11, "epochs": 10},
        {"optimizer": "sgd", "nesterov": True},
        {"optimizer": "adam", "momentum": 0.9},
        {"restore": True},
        {"restore": True, "patience": 3, "keep": "best-accuracy"},
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Recipe(**fields)


@pytest.mark.parametrize(
    ("fields", "chosen_by", "needs"),
    [
        ({}, None, False),
        ({"keep": "best-accuracy"}, "accuracy", True),
        ({"keep": "best-loss"}, "loss", True),
        ({"patience": 3}, None, True),
        ({"patience": 3, "restore": True}, "loss", True),
        ({"patience": 3, "restore": True, "watch": "accuracy"}, "accuracy", True),
    ],
)
def test_which_quantity_chooses_the_epoch(
    fields: dict[str, Any], chosen_by: str | None, needs: bool
) -> None:
    recipe = Recipe(**fields)
    assert recipe.chosen_by == chosen_by
    assert recipe.needs_validation is needs
