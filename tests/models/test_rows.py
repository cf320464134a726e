"""rows.py: how long a row's fit takes, by what the row says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVC

from fittingroom.data.dataset import Dataset
from fittingroom.models import rows
from fittingroom.models.catalog import MODELS
from fittingroom.models.engine import suits_intel


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


def test_expected_time_grows_with_a_power_of_the_images() -> None:
    row = MODELS["knn"]
    grown = row.expected_seconds(many(600_000)) / row.expected_seconds()
    assert grown == pytest.approx(10**row.growth)
    assert row.growth > 1.5  # a tenth of the images is compared with the rest
    wide = many(60_000, pixels=4 * 784)
    assert row.expected_seconds(wide) == pytest.approx(4 * row.expected_seconds())


def test_scikit_learn_itself_fits_an_svm_to_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "find_spec", lambda _: object())
    row = MODELS["svm-rbf"]
    assert row.stock_seconds is not None
    assert row.expected_seconds(many(600_000)) == pytest.approx(100 * row.stock_seconds)
    assert row.expected_seconds(many(30_000)) == pytest.approx(row.seconds / 4)
    most = int(row.intel_pixels / 784)
    assert suits_intel(SVC(), round(0.9 * most), 784, 10)
    assert not suits_intel(SVC(), round(0.9 * 1.01 * most), 784, 10)


def test_a_classical_model_holds_all_images_and_a_network_need_not() -> None:
    millions = many(6_000_000)
    for row in MODELS.values():
        if row.family == "network":
            assert row.least_bytes(millions) == 0
        else:
            assert row.least_bytes(millions) >= 0.9 * 6_000_000 * 784


def many(n: int, pixels: int = 784) -> Any:
    """A data set of so many images, which take no memory."""
    images = np.broadcast_to(np.uint8(0), (n, 1, pixels))
    return SimpleNamespace(train=SimpleNamespace(images=images))
