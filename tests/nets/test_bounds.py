"""bounds.py: what a saved network's file may ask for."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from fittingroom.bundles.options import audit_of
from fittingroom.nets.bounds import Length, Share, Width, Widths, Within
from fittingroom.nets.mlp import MLP


def test_an_annotation_has_its_bound() -> None:
    assert get_args(Width) == (int, Within(1, 16_384))
    assert get_args(Share) == (float, Within(0, 1))
    assert get_args(Widths)[1] == Length(0, 32)


@pytest.mark.parametrize(
    ("widths", "allowed"),
    [([], True), ([1, 16_384], True), ([0], False), ([16_385], False), ([1] * 33, False)],
)
def test_the_ends_of_the_bounds_are_allowed(widths: list[int], allowed: bool) -> None:
    audit = audit_of(MLP)
    if allowed:
        assert audit.model_validate({"hidden": widths}).model_dump() == {"hidden": widths}
    else:
        with pytest.raises(ValidationError, match="hidden"):
            audit.model_validate({"hidden": widths})
