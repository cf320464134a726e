"""epoch.py: a row of the history, which may come from a stranger's file."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from fittingroom.training.epoch import Epoch
from fittingroom.untrusted import convert

FIGURES: dict[str, Any] = {
    "epoch": 1,
    "learning_rate": 0.001,
    "train_loss": 0.5,
    "train_accuracy": 0.8,
    "validation_loss": None,
    "validation_accuracy": None,
    "seconds": 1.5,
}


def test_an_epoch_is_read_as_it_was_written() -> None:
    assert dataclasses.asdict(convert(Epoch, FIGURES)) == FIGURES


@pytest.mark.parametrize("change", [{"epoch": "1"}, {"epoch": 1.5}, {"train_loss": None}], ids=str)
def test_anything_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        convert(Epoch, {**FIGURES, **change})
