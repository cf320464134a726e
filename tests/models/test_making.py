"""making.py: a row of the catalogue and other parameters make a classifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.errors import UnknownNameError, UsageError
from fittingroom.models.catalog import MODELS
from fittingroom.models.making import make_classifier

CLASSICAL = [name for name, row in MODELS.items() if row.family == "classical"]
NETWORKS = [name for name, row in MODELS.items() if row.family == "network"]
network: Callable[..., Any] = make_classifier


@pytest.mark.parametrize(
    ("name", "near"), [("logistc", "logistic"), ("CNN-32", "cnn-32"), ("random_forest", "random-f")]
)
def test_an_unknown_name_gets_a_suggestion(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown model '{name}'; did you mean .*{near}"):
        make_classifier(name)


def test_parameters_replace_those_of_the_row() -> None:
    assert make_classifier("svm-rbf", C=3.0).estimator.C == 3
    assert make_classifier("knn", n_neighbors=9).estimator.n_neighbors == 9
    assert make_classifier("cnn-32", epochs=3).recipe.epochs == 3


@pytest.mark.parametrize("name", ["knn", "hog-svm", "cnn-32", "swift"])
def test_an_unknown_parameter_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(UsageError, match="'shoe_size'") as raised:
        make_classifier(name, shoe_size=44)
    assert "known: " in str(raised.value) or "did you mean" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_misspelt_parameter_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match=r"parameter of knn.*did you mean n_neighbors"):
        make_classifier("knn", n_neighbours=3)


@pytest.mark.parametrize("name", ["random-forest", "mlp-532"])
def test_the_seed_is_passed_on(name: str) -> None:
    parameters = make_classifier(name, random_state=5).get_params()
    seeds = [v for k, v in parameters.items() if k.split("__")[-1] == "random_state"]
    assert seeds == [5]


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_deterministic_row_takes_no_seed(name: str) -> None:
    parameters = make_classifier(name, random_state=5).get_params()
    seeds = [v for k, v in parameters.items() if k.split("__")[-1] == "random_state"]
    assert MODELS[name].deterministic == (5 not in seeds)


def test_the_data_set_gives_shape_and_mirroring(small: Dataset) -> None:
    classifier = network("cnn-32", dataset=small)
    assert classifier.image_shape == (28, 28)
    assert classifier.mirror_keeps_class == small.mirror_keeps_class
    assert make_classifier("hog-svm", dataset=small).features.image_shape == (28, 28)


@pytest.mark.parametrize("name", NETWORKS)
def test_takes_options_for_recipe_network_and_classifier(name: str) -> None:
    classifier = network(name, epochs=3, precision="float32", random_state=5, image_shape=(20, 21))
    assert classifier.recipe is not None
    assert (classifier.recipe.epochs, classifier.recipe.precision) == (3, "float32")
    assert (classifier.random_state, classifier.image_shape) == (5, (20, 21))
    assert classifier.recipe.batch_size == network(name).recipe.batch_size


@pytest.mark.parametrize("name", NETWORKS)
def test_a_wrong_option_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="did you mean epochs"):
        network(name, epoch=3)
    with pytest.raises(UsageError, match="epochs must be"):
        network(name, epochs=0)


def test_network_options_override() -> None:
    assert network("mlp-10-10", hidden=(7,)).net_options == {"hidden": (7,)}
    net_options = network("cnn-32", hidden=(7,)).net_options
    assert net_options is not None
    assert net_options["features"] == (32, "pool")
