"""The grids as written in the benchmark, counted and tried with today's scikit-learn."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils import all_estimators

from fittingroom.data.dataset import Dataset
from fittingroom.models.catalog import BASELINES
from fittingroom.models.zalando_grid import GRIDS

POINTS = {
    "PassiveAggressiveClassifier": 3,
    "SGDClassifier": 15,
    "Perceptron": 3,
    "DecisionTreeClassifier": 12,
    "ExtraTreeClassifier": 12,
    "RandomForestClassifier": 18,
    "LogisticRegression": 12,
    "MLPClassifier": 8,
    "KNeighborsClassifier": 12,
    "SVC": 12,
    "GaussianNB": 1,
    "GaussianProcessClassifier": 2,
    "GradientBoostingClassifier": 9,
    "LinearSVC": 24,
}
#: Points that scikit-learn 1.9 refuses as written.
REFUSED = {
    "SGDClassifier": 3,
    "LogisticRegression": 12,
    "GradientBoostingClassifier": 9,
    "LinearSVC": 3,
}


def test_the_grids_have_143_points() -> None:
    assert {grid.written: len(grid.points) for grid in GRIDS} == POINTS
    assert sum(POINTS.values()) == 143
    assert [grid.name for grid in GRIDS] == list(BASELINES)


def test_three_points_were_never_valid_and_two_are_impractical() -> None:
    never = [grid.name for grid in GRIDS for point in grid.points if grid.refuses(point)]
    assert never == ["zalando-linear-svc"] * 3
    assert [len(grid.points) for grid in GRIDS if grid.impractical] == [2]


def test_a_row_takes_only_parameters_with_several_values() -> None:
    grids = {grid.name: grid for grid in GRIDS}
    (point,) = grids["zalando-gaussian-nb"].points
    assert grids["zalando-gaussian-nb"].choices(point) == {}
    point = grids["zalando-gradient-boosting"].points[1]
    assert point == {"loss": "deviance", "n_estimators": 10, "max_depth": 10}
    assert grids["zalando-gradient-boosting"].choices(point) == {
        "n_estimators": 10,
        "max_depth": 10,
    }


@pytest.mark.skipif(
    hasattr(LogisticRegression(), "multi_class"),
    reason="scikit-learn before 1.8 has multi_class, and accepts six points more",
)
# Deprecations, and solvers that don't converge on twenty images.
@pytest.mark.filterwarnings("ignore")
def test_116_points_are_accepted_as_written(small: Dataset) -> None:
    chosen = np.concatenate([np.flatnonzero(small.train.labels == c)[:2] for c in range(10)])
    images = small.train.images[chosen].reshape(20, -1) / 255.0
    classes: dict[str, Any] = dict(all_estimators(type_filter="classifier"))
    refused: Counter[str] = Counter()
    for grid in GRIDS:
        for point in grid.points:
            try:
                classes[grid.written](**point).set_params(
                    **({"n_jobs": 1} if grid.written == "RandomForestClassifier" else {})
                ).fit(images, small.train.labels[chosen])
            except (TypeError, ValueError):
                refused[grid.written] += 1
    assert refused == REFUSED
    assert sum(POINTS.values()) - refused.total() == 116
