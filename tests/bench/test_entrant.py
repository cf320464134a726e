from __future__ import annotations

from typing import Any

import pytest
from sklearn.neighbors import KNeighborsClassifier

from fittingroom.bench.entrant import Entrant
from fittingroom.data.dataset import Dataset


@pytest.mark.parametrize(
    ("entrant", "seconds"),
    [
        (Entrant(name="swift"), 130 / 30),
        (Entrant(name="swift", overrides={"epochs": 32}), 2 * 130 / 30),
        (Entrant(name="swift", overrides={"epochs": 32, "hidden": 8}), None),
        (Entrant(name="swift", overrides={"epochs": "many"}), None),
        (Entrant(name="knn", overrides={"n_neighbors": 3}), None),
        (Entrant(name="mine", own=KNeighborsClassifier()), None),
    ],
)
def test_what_is_known_of_its_time(entrant: Entrant, seconds: Any, small: Dataset) -> None:
    """The images are a thirtieth of those that the catalogue's seconds are for."""
    assert entrant.seconds(small) == pytest.approx(seconds)
