"""The catalogue as a whole: names, rows, suites, and what `make_classifier` takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sklearn.base import BaseEstimator, clone, is_classifier

from fittingroom.data.dataset import Dataset
from fittingroom.errors import UnknownNameError, UsageError
from fittingroom.models import catalog
from fittingroom.models.catalog import MODELS, SUITES, make_classifier, names_of, row_of
from fittingroom.models.network import NETS, NetworkClassifier, count_parameters

CLASSICAL = [name for name, row in MODELS.items() if row.family == "classical"]
NETWORKS = [name for name, row in MODELS.items() if row.family == "network"]


@pytest.mark.parametrize("name", MODELS)
def test_a_row_is_whole(name: str) -> None:
    row = MODELS[name]
    assert row.name == name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert 10 < len(row.about) < 80
    assert row.about[-1] != "."
    assert row.seconds > 0
    assert row.stock_seconds is None or row.stock_seconds >= row.seconds
    assert (row.parameters is not None) == (row.family == "network")
    assert row.build.__name__ == name.replace("-", "_")
    assert row.build.__doc__


@pytest.mark.parametrize("name", MODELS)
def test_a_row_builds_a_classifier(name: str, small: Dataset) -> None:
    for classifier in (make_classifier(name), make_classifier(name, dataset=small)):
        assert isinstance(classifier, BaseEstimator)
        assert is_classifier(classifier)
        assert isinstance(classifier, NetworkClassifier) == (name in NETWORKS)
        assert repr(clone(classifier)) == repr(classifier)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_number_of_parameters(name: str) -> None:
    network: Any = make_classifier(name)
    net = NETS[network.net]((28, 28), 10, **(network.net_options or {}))
    assert count_parameters(net) == MODELS[name].parameters


def test_the_models_are_those_that_were_promised() -> None:
    assert set(CLASSICAL) == {
        "logistic",
        "linear-svm",
        "svm-rbf",
        "knn",
        "random-forest",
        "hist-gradient-boosting",
        "hog-svm",
    }
    assert set(NETWORKS) == {
        "mlp-10-10",
        "mlp-532",
        "mlp-256-256",
        "mlp-256-256-onehot",
        "cnn-6-16-120",
        "cnn-16-16-100",
        "cnn-32-64-64",
        "cnn-64x4",
        "cnn-32",
        "cnn-32-64",
        "cnn-64-128-64",
        "cnn-16-32-64-128",
        "swift-90",
        "swift-93",
        "swift",
        "swift-95",
        "swift-photo",
        "wide-resnet",
    }


def test_suites() -> None:
    assert SUITES["quick"] == (
        "logistic",
        "knn",
        "random-forest",
        "svm-rbf",
        "mlp-256-256",
        "cnn-32",
        "swift",
    )
    assert set(SUITES["all"]) == set(MODELS)
    published = {MODELS[name].source for name in SUITES["published"]}
    assert {"S0-CNN", "S1-MLP", "S2-SVM", "S3-CNN3", "S4-CNN"} < published
    assert None not in published
    assert len(SUITES["published"]) == 3 + 12


@pytest.mark.parametrize(
    ("name", "near"), [("logistc", "logistic"), ("CNN-32", "cnn-32"), ("random_forest", "random-f")]
)
def test_an_unknown_name_gets_a_proposal(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown model '{name}'; did you mean .*{near}"):
        make_classifier(name)


def test_another_name_means_the_same_row() -> None:
    assert row_of("swift-94") is row_of("swift") is MODELS["swift"]
    assert names_of(["swift-94", "knn", "swift"]) == ("swift", "knn")


def test_parameters_replace_those_of_the_row() -> None:
    assert make_classifier("svm-rbf", C=3.0).estimator.C == 3
    assert make_classifier("knn", n_neighbors=9).estimator.n_neighbors == 9
    assert make_classifier("cnn-32", epochs=3).recipe.epochs == 3


@pytest.mark.parametrize("name", ["knn", "hog-svm", "cnn-32", "swift"])
def test_an_unknown_parameter_is_one_sentence(name: str) -> None:
    with pytest.raises(UsageError, match="'shoe_size'") as raised:
        make_classifier(name, shoe_size=44)
    assert "known: " in str(raised.value) or "did you mean" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_misspelt_parameter_gets_a_proposal() -> None:
    with pytest.raises(UnknownNameError, match=r"parameter of knn.*did you mean n_neighbors"):
        make_classifier("knn", n_neighbours=3)


@pytest.mark.parametrize("name", ["random-forest", "mlp-532"])
def test_the_seed_arrives(name: str) -> None:
    parameters = make_classifier(name, random_state=5).get_params()
    seeds = [v for k, v in parameters.items() if k.split("__")[-1] == "random_state"]
    assert seeds == [5]


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_deterministic_row_takes_no_seed(name: str) -> None:
    parameters = make_classifier(name, random_state=5).get_params()
    seeds = [v for k, v in parameters.items() if k.split("__")[-1] == "random_state"]
    assert MODELS[name].deterministic == (5 not in seeds)


def test_the_data_set_tells_shape_and_mirror(small: Dataset) -> None:
    network: Any = make_classifier("cnn-32", dataset=small)
    assert network.image_shape == (28, 28)
    assert network.mirror_keeps_class == small.mirror_keeps_class
    assert make_classifier("hog-svm", dataset=small).features.image_shape == (28, 28)


def test_expected_time_depends_on_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    row = MODELS["svm-rbf"]
    monkeypatch.setattr(catalog, "find_spec", lambda _: object())
    assert row.expected_seconds() == row.seconds
    monkeypatch.setattr(catalog, "find_spec", lambda _: None)
    assert row.expected_seconds() == row.stock_seconds
    assert MODELS["cnn-32"].expected_seconds() == MODELS["cnn-32"].seconds
