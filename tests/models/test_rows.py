"""rows.py: how long a row's fit takes, by what the row says."""

from __future__ import annotations

import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.models import rows
from fittingroom.models.catalog import MODELS


def test_expected_time_depends_on_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    row = MODELS["svm-rbf"]
    monkeypatch.setattr(rows, "find_spec", lambda _: object())
    assert row.expected_seconds() == row.seconds
    monkeypatch.setattr(rows, "find_spec", lambda _: None)
    assert row.expected_seconds() == row.stock_seconds
    assert MODELS["cnn-32"].expected_seconds() == MODELS["cnn-32"].seconds


def test_expected_time_depends_on_the_images(small: Dataset) -> None:
    """The fixture's are a thirtieth of Fashion-MNIST's."""
    row = MODELS["swift-photo"]
    assert row.expected_seconds(small) == pytest.approx(row.seconds / 30)
    assert row.expected_seconds(small, epochs=32) == pytest.approx(row.seconds / 15)
    assert row.expected_seconds(epochs=8) == row.seconds / 2
    assert MODELS["swift-90"].expected_seconds(small) == 3  # to start the process
