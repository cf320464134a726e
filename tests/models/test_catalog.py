"""The catalogue as a whole: names, rows, suites, what `make_classifier` takes, other images."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone, is_classifier

from fittingroom.data.dataset import Dataset
from fittingroom.errors import FittingroomError, UnknownNameError, UsageError
from fittingroom.models import catalog
from fittingroom.models.catalog import MODELS, SUITES, make_classifier, names_of, row_of
from fittingroom.models.network import NETS, NetworkClassifier, count_parameters

CLASSICAL = [name for name, row in MODELS.items() if row.family == "classical"]
NETWORKS = [name for name, row in MODELS.items() if row.family == "network"]

CORNERS = Path(__file__).parent / "corners.py"
#: What the fits of all corners may take: weights of an SVM of 200 classes have 200 MB.
MOST_MEMORY = 700 * 2**20

#: What settings serve for a test, where they aren't the catalogue's.
QUICK: dict[str, dict[str, Any]] = {"wide-resnet": {"depth": 10, "width": 1}}
#: Networks whose convolutions and poolings leave nothing of such images.
_POOLED = {"cnn-16-16-100", "cnn-32-64-64", "cnn-64x4", "cnn-64-128-64", "cnn-16-32-64-128"}
_SWIFT = {name for name in MODELS if name.startswith("swift")}
TOO_SMALL = {
    (40, 20): {"cnn-32-64-64", "cnn-64-128-64"},
    (8, 8): _POOLED,
    (4, 4): {*_POOLED, *_SWIFT, "cnn-32-64"},
    (1, 784): {*_POOLED, *_SWIFT, "cnn-32-64", "cnn-32", "hog-svm"},
}


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


def test_expected_time_depends_on_the_images(small: Dataset) -> None:
    """Those are a thirtieth of Fashion-MNIST's."""
    row = MODELS["swift-photo"]
    assert row.expected_seconds(small) == pytest.approx(row.seconds / 30)
    assert row.expected_seconds(small, epochs=32) == pytest.approx(row.seconds / 15)
    assert row.expected_seconds(epochs=8) == row.seconds / 2
    assert MODELS["swift-90"].expected_seconds(small) == 3  # to start


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be limited there")
def test_corners_take_little_memory_and_predict_what_scikit_learn_does() -> None:
    done = subprocess.run(
        [sys.executable, CORNERS],
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # each thread takes some memory, too
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    corners = [json.loads(line) for line in done.stdout.splitlines()]
    assert [c for c in corners if c["growth"] > MOST_MEMORY] == []
    # As the tests of each engine have it: all but logistic regression find the same.
    close = {"logistic": 5e-3}
    wrong = [c for c in corners if c["same"] < 0.99 or c["apart"] > close.get(c["model"], 1e-4)]
    assert wrong == []


def images(shape: tuple[int, int], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, pixels) of two classes, of which one is brighter, and labels."""
    labels = np.arange(n) % 2
    noise = np.random.RandomState(0).randint(0, 100, (n, shape[0] * shape[1]))
    return (noise + 100 * labels[:, None]).astype(np.uint8), labels


def build(model: str, shape: tuple[int, int], **settings: Any) -> Any:
    dataset: Any = SimpleNamespace(image_shape=shape, mirror_keeps_class=True)
    if row_of(model).family == "network":
        settings = {"epochs": 1, **QUICK.get(model, {}), **settings}
    return make_classifier(model, dataset=dataset, **settings)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(shape, marks=pytest.mark.slow if shape == (40, 20) else (), id=str(shape))
        for shape in TOO_SMALL
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_a_model_takes_images_or_says_that_they_are_too_small(
    model: str, shape: tuple[int, int]
) -> None:
    X, y = images(shape, 24)
    classifier = build(model, shape)
    if model in TOO_SMALL[shape]:
        with pytest.raises(FittingroomError, match=f"images of {shape[0]}×{shape[1]} pixels .*; "):
            classifier.fit(X, y)
        return
    probabilities = classifier.fit(X, y).predict_proba(X)
    assert probabilities.shape == (24, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    if MODELS[model].family == "classical" and model != "hist-gradient-boosting":
        # Its leaves hold 20 images at least.
        np.testing.assert_array_equal(classifier.predict(X), y)


@pytest.mark.parametrize(
    ("model", "settings", "reason"),
    [
        ("knn", {"n_neighbors": 25}, "n_neighbors is 25, but .* 24 training images; take at most"),
        ("zalando-knn", {"n_neighbors": 25}, "n_neighbors is 25, but"),
        ("hog-svm", {"cell": 29}, "images of 28×28 pixels are smaller than a cell of 29; take"),
        ("hog-svm", {"cell": 0}, "cell must be a whole number of at least 1, not 0"),
        ("hog-svm", {"block": 2.5}, "block must be a whole number of at least 1, not 2.5"),
        ("logistic", {"scale": 0}, "scale must be above 0, not 0"),
        ("swift-90", {"batch_size": 1}, "batch_size is 1 .* 24; give at least 2"),
        ("swift", {"widths": (64,) * 5}, "images of 28×28 pixels .* 6 poolings need 64"),
        ("swift", {"widths": (0,)}, r"widths must have whole numbers of at least 1, not \(0,\)"),
        ("cnn-6-16-120", {"resize": 6}, "images of 6×6 pixels are too small"),
        ("cnn-32", {"features": (32, "pol")}, "features must be .* not .*pol"),
        ("cnn-32", {"features": ("pool", 32)}, "features must be"),
        ("cnn-32", {"features": (32, "pool", "pool")}, "features must be"),
        ("cnn-32-64", {"dropout": (0.5,)}, "a cnn can't be made with .* dropout"),
        ("mlp-10-10", {"hidden": 64}, "a mlp can't be made with hidden 64"),
    ],
    ids=str,
)
def test_what_makes_no_sense_for_the_data_is_one_sentence(
    model: str, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(FittingroomError, match=reason) as raised:
        build(model, (28, 28), **settings).fit(*images((28, 28), 24))
    assert "\n" not in str(raised.value)


def test_photos_of_tiny_images_are_not_imitated() -> None:
    with pytest.raises(FittingroomError, match=r"'photo' needs images of at least 8 .* not 40×4"):
        build("cnn-32", (40, 4), augmentation="photo").fit(*images((40, 4), 24))


def test_a_batch_may_hold_all_images() -> None:
    X, y = images((28, 28), 24)
    assert build("swift-90", (28, 28), batch_size=1000).fit(X, y).predict(X).shape == (24,)


@pytest.mark.parametrize(
    ("model", "settings"), [("logistic", {"C": "much"}), ("knn", {"n_neighbors": 2.5})], ids=str
)
def test_scikit_learn_names_a_parameter_that_makes_no_sense(
    model: str, settings: dict[str, Any]
) -> None:
    (name,) = settings
    with pytest.raises(ValueError, match=f"The '{name}' parameter of .* must be"):
        build(model, (28, 28), **settings).fit(*images((28, 28), 24))


def test_large_images_get_larger_cells_unless_they_are_asked_for() -> None:
    assert build("hog-svm", (28, 28)).features.cell == 4
    assert build("hog-svm", (64, 64)).features.cell == 4
    assert build("hog-svm", (224, 224)).features.cell == 32
    assert build("hog-svm", (4000, 3)).features.cell == 4
    features = build("hog-svm", (224, 224), cell=4).features
    features.fit(np.zeros((20, 224 * 224), np.float32))
    with pytest.raises(FittingroomError, match=r"cell=4 .* 3\.2 GiB; .* such as cell=32"):
        features.fit(np.broadcast_to(np.float32(0), (300, 224 * 224)))
    with pytest.raises(UsageError):
        features.set_params(cell=-1).fit(np.zeros((1, 224 * 224)))
