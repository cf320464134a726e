"""Every repaired point against the installed scikit-learn, on a few real images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import PassiveAggressiveClassifier

from fittingroom.data.dataset import Dataset
from fittingroom.errors import UnknownNameError, UsageError
from fittingroom.models.catalog import BASELINES
from fittingroom.models.making import make_classifier
from fittingroom.models.zalando_grid import GRIDS
from fittingroom.runs.spec import to_plain

Images = tuple[np.ndarray, np.ndarray]
POINTS = [
    pytest.param(grid.name, grid.choices(point), id=f"{grid.name}-{number}")
    for grid in GRIDS
    for number, point in enumerate(grid.points)
    if not grid.refuses(point)
]
SAMPLE = [pytest.param(grid.name, grid.choices(grid.points[-1]), id=grid.name) for grid in GRIDS]
SLOW_TO_SAMPLE = {"zalando-gradient-boosting": {"n_estimators": 3, "max_depth": 10}}


@pytest.fixture(scope="module")
def images(small: Dataset) -> Images:
    """100 real images (n, 784), ten per class, and their labels."""
    chosen = np.concatenate([np.flatnonzero(small.train.labels == c)[:10] for c in range(10)])
    return small.train.images[chosen].reshape(100, -1), small.train.labels[chosen]


def fit(name: str, parameters: dict[str, Any], images: Images) -> Any:
    return make_classifier(name, random_state=1, **parameters).fit(*images)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("name", "parameters"), POINTS)
def test_every_point_that_was_ever_valid_is_accepted(
    name: str, parameters: dict[str, Any], images: Images
) -> None:
    assert fit(name, parameters, images).score(*images) > 0.3


def test_140_points_are_tested_above() -> None:
    assert len(POINTS) == 143 - 3


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("name", "parameters"), SAMPLE)
def test_the_last_point_of_each_grid_is_accepted(
    name: str, parameters: dict[str, Any], images: Images
) -> None:
    parameters = SLOW_TO_SAMPLE.get(name, parameters)
    assert fit(name, parameters, images).score(*images) > 0.3


@pytest.mark.parametrize("name", BASELINES)
def test_a_row_builds_its_estimator(name: str) -> None:
    row = BASELINES[name]
    parameters = make_classifier(name, random_state=7).get_params()
    assert 10 < len(row.about) < 80
    assert not row.kept
    seeds = {value for p, value in parameters.items() if p.split("__")[-1] == "random_state"}
    assert seeds == {0 if row.deterministic else 7}


@pytest.mark.filterwarnings("ignore:Class PassiveAggressiveClassifier:FutureWarning")
@pytest.mark.parametrize("C", [1.0, 10.0, 100.0])
def test_passive_aggressive_equals_the_former_class(C: float, images: Images) -> None:
    ours = fit("zalando-passive-aggressive", {"C": C}, images)
    order = np.random.RandomState(1).permutation(100)
    theirs = PassiveAggressiveClassifier(C=C, random_state=1).fit(
        ours.scaler_.transform(images[0])[order], images[1][order]
    )
    np.testing.assert_array_equal(ours.estimator_.coef_, theirs.coef_)


@pytest.mark.parametrize("kernel", ["linear", "rbf", "poly"])
def test_a_kernels_solution_does_not_depend_on_the_engine(
    kernel: str, images: Images, small: Dataset
) -> None:
    unseen = small.test.images.reshape(1000, -1)
    ours = make_classifier("zalando-svc", kernel=kernel)
    theirs = make_classifier("zalando-svc", kernel=kernel).set_params(engine="scikit-learn")
    predictions = [model.fit(*images).predict(unseen) for model in (ours, theirs)]
    assert (predictions[0] == predictions[1]).mean() > 0.995


def test_points_that_give_the_same_fit_share_a_key() -> None:
    grid = next(grid for grid in GRIDS if grid.name == "zalando-linear-svc")
    specs = [
        str(to_plain(make_classifier(grid.name, **point)))
        for point in grid.points
        if point["multi_class"] == "crammer_singer"
    ]
    assert (len(specs), len(set(specs))) == (12, 3)


def test_invalid_parameters_are_refused_in_one_sentence() -> None:
    with pytest.raises(UnknownNameError, match="'kernle'"):
        make_classifier("zalando-svc", kernle="rbf")
    with pytest.raises(UsageError, match="use l1 or l2"):
        make_classifier("zalando-logistic", penalty="elasticnet")


def test_a_fit_that_has_not_converged_warns(images: Images) -> None:
    with pytest.warns(ConvergenceWarning):
        fit("zalando-logistic", {"penalty": "l1", "multi_class": "multinomial"}, images)
