"""attributes.py: an estimator of a bundle has only the attributes that a fit sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fittingroom.bundles.archive import Node, field
from fittingroom.bundles.attributes import _FITTED, ATTRIBUTES


@pytest.mark.parametrize(
    ("model", "kind"), [("logistic", "LogisticRegression"), ("random-forest", "DecisionTree")]
)
def test_attributes_that_a_kind_does_not_have(
    model: str, kind: str, spoilt: Callable[..., Path], refused: Callable[..., None]
) -> None:
    def add(schema: Node, members: dict[str, Any]) -> None:
        part = schema if model == "logistic" else field(schema, "estimators_")["content"][-1]
        content = part["content"]["content"]
        content["predict_proba"] = content["random_state"]

    refused(spoilt(model, add), f"a {kind}.* has no attribute 'predict_proba'")


@pytest.mark.parametrize("kind", _FITTED, ids=lambda kind: kind.__name__)
def test_no_attribute_of_a_file_replaces_one_of_the_class(kind: type) -> None:
    """Such as a method, which would then be whatever the file holds."""
    assert [name for name in ATTRIBUTES[kind.__name__] if hasattr(kind, name)] == []
