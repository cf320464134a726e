"""The whole catalogue: names, rows, suites, arguments of `make_classifier`, other images."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone, is_classifier
from torch import Tensor, nn
from torch.nn import functional as F
from typer.testing import CliRunner

from fittingroom.bundles.bundle import bundle_of, load
from fittingroom.bundles.manifest import Data, Manifest
from fittingroom.bundles.onnx import write_onnx
from fittingroom.bundles.options import audit_of
from fittingroom.bundles.parity import parity
from fittingroom.cli.main import app
from fittingroom.data.dataset import Dataset
from fittingroom.errors import (
    BundleError,
    FittingroomError,
    InputError,
    UnknownNameError,
    UsageError,
)
from fittingroom.models.catalog import BASELINES, MODELS, SUITES, names_of, row_of
from fittingroom.models.layers import layers_of
from fittingroom.models.making import make_classifier
from fittingroom.models.network import NETS, NetworkClassifier, count_parameters
from fittingroom.models.rows import ClassicalRow, NetworkRow
from fittingroom.nets.bounds import Widths, Within
from fittingroom.training.recipe import Recipe

CLASSICAL = [name for name, row in MODELS.items() if row.family == "classical"]
NETWORKS = [name for name, row in MODELS.items() if row.family == "network"]

#: Settings that make slow networks of millions of parameters smaller.
SMALLER: dict[str, dict[str, Any]] = {
    "cnn-16-32-64-128": {"pooling": True},
    "wide-resnet": {"depth": 10, "width": 1},
}
#: Parameters of each network for 28 × 28 pixels and ten classes.
PARAMETERS = {
    "mlp-10-10": 8_070,
    "mlp-532": 422_950,
    "mlp-256-256": 269_322,
    "mlp-256-256-onehot": 269_322,
    "cnn-6-16-120": 180_554,
    "cnn-16-16-100": 126_310,
    "cnn-32-64-64": 60_554,
    "cnn-64x4": 119_065,
    "cnn-32": 693_962,
    "cnn-32-64": 159_882,
    "cnn-64-128-64": 289_610,
    "cnn-16-32-64-128": 6_662_474,
    "swift-90": 98_666,
    "swift-93": 381_482,
    "swift": 381_482,
    "swift-95": 971_818,
    "swift-photo": 971_818,
    "wide-resnet": 8_948_922,
}
N = 200

CORNERS = Path(__file__).parent / "corners.py"
#: The most memory for fitting all corner cases: the weights of an SVM of 200 classes take 200 MB.
MAX_MEMORY = 700 * 2**20

#: Rows whose recipe is too long to have been run to its end for a table.
NOT_MEASURED = {"cnn-16-32-64-128", "wide-resnet"}
#: Settings for a quick test.
QUICK: dict[str, dict[str, Any]] = {"wide-resnet": {"depth": 10, "width": 1}}
#: Models whose layers need larger images.
_POOLED = {"cnn-16-16-100", "cnn-32-64-64", "cnn-64x4", "cnn-64-128-64", "cnn-16-32-64-128"}
_SWIFT = {name for name in MODELS if name.startswith("swift")}
TOO_SMALL = {
    (40, 20): {"cnn-32-64-64", "cnn-64-128-64"},
    (8, 8): _POOLED,
    (4, 4): {*_POOLED, *_SWIFT, "cnn-32-64"},
    (1, 784): {*_POOLED, *_SWIFT, "cnn-32-64", "cnn-32", "hog-svm"},
}


@pytest.mark.parametrize("name", MODELS)
def test_a_row_is_complete(name: str) -> None:
    row = MODELS[name]
    assert row.name == name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert 10 < len(row.about) < 80
    assert row.about[-1] != "."
    assert row.seconds > 0
    assert row.stock_seconds is None or row.stock_seconds >= row.seconds
    assert (row.parameters is not None) == (row.family == "network")
    if row.accuracy is None:
        assert name in NOT_MEASURED
    else:
        assert 0.5 < row.accuracy[0] < row.accuracy[1] <= 1
    if isinstance(row, NetworkRow):
        options = audit_of(NETS[row.net]).model_fields
        assert {*row.options} <= {*options}
        assert row.mirror_option is None or row.mirror_option in options
    else:
        assert isinstance(row, ClassicalRow)
        assert row.build.__name__ == name.replace("-", "_")
        assert row.build.__doc__


@pytest.mark.parametrize("name", MODELS)
def test_a_row_builds_a_classifier(name: str, small: Dataset) -> None:
    for classifier in (make_classifier(name), make_classifier(name, dataset=small)):
        assert isinstance(classifier, BaseEstimator)
        assert is_classifier(classifier)
        assert isinstance(classifier, NetworkClassifier) == (name in NETWORKS)
        assert repr(clone(classifier)) == repr(classifier)


def test_reading_the_catalogue_imports_neither_scikit_learn_nor_torch() -> None:
    """Nor does a wrong name, so that the error comes sooner."""
    code = (
        "import sys\n"
        "from fittingroom.errors import UnknownNameError\n"
        "from fittingroom.models.catalog import BASELINES, MODELS\n"
        "from fittingroom.models.making import make_classifier\n"
        "for row in [*MODELS.values(), *BASELINES.values()]: row.expected_seconds()\n"
        "try: make_classifier('swfit')\n"
        "except UnknownNameError: pass\n"
        "try: make_classifier('knn', n_neighbours=3)\n"
        "except UnknownNameError: pass\n"
        "print({'numba', 'numpy', 'sklearn', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_every_baseline_is_built_by_the_function_with_its_name() -> None:
    for name, row in BASELINES.items():
        assert isinstance(row, ClassicalRow)
        assert row.build.__name__ == name.removeprefix("zalando-").replace("-", "_")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_number_of_parameters(name: str) -> None:
    network: Any = make_classifier(name)
    net = NETS[network.net]((28, 28), 10, **(network.net_options or {}))
    assert count_parameters(net) == MODELS[name].parameters == PARAMETERS[name]


def test_the_models_are_those_promised() -> None:
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
        "mlp-256-256",
        "random-forest",
        "svm-rbf",
        "cnn-32",
        "swift",
    )
    assert set(SUITES["all"]) == set(MODELS)
    published = {MODELS[name].source for name in SUITES["published"]}
    assert {"S0-CNN", "S1-MLP", "S2-SVM", "S3-CNN3", "S4-CNN"} < published
    assert None not in published
    assert len(SUITES["published"]) == 3 + 12


def test_an_alias_means_the_same_row() -> None:
    assert row_of("swift-94") is row_of("swift") is MODELS["swift"]
    assert names_of(["swift-94", "knn", "swift"]) == ("swift", "knn")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be limited there")
def test_corner_cases_take_little_memory_and_agree_with_scikit_learn() -> None:
    done = subprocess.run(
        [sys.executable, CORNERS],
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # each thread takes some memory, too
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    corners = [json.loads(line) for line in done.stdout.splitlines()]
    assert [c for c in corners if c["growth"] > MAX_MEMORY] == []
    # As in the tests of each engine, all but logistic regression agree exactly.
    close = {"logistic": 5e-3}
    wrong = [c for c in corners if c["same"] < 0.99 or c["apart"] > close.get(c["model"], 1e-4)]
    assert wrong == []


def images(shape: tuple[int, int], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, pixels) of two classes, one of them brighter, and labels."""
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
def test_a_model_takes_images_or_reports_that_they_are_too_small(
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
        # A leaf of boosted trees has at least 20 images.
        np.testing.assert_array_equal(classifier.predict(X), y)


@pytest.mark.parametrize(
    ("model", "settings", "reason"),
    [
        ("knn", {"n_neighbors": 25}, "n_neighbors is 25, but .* 24 training images; give at most"),
        ("zalando-knn", {"n_neighbors": 25}, "n_neighbors is 25, but"),
        ("hog-svm", {"cell": 29}, "images of 28×28 pixels are smaller than a cell of 29; use"),
        ("hog-svm", {"cell": 0}, "cell must be a whole number of at least 1, not 0"),
        ("hog-svm", {"block": 2.5}, "block must be a whole number of at least 1, not 2.5"),
        ("logistic", {"scale": 0}, "scale must be above 0, not 0"),
        ("swift-90", {"batch_size": 1}, "batch_size is 1 .* 24; give at least 2"),
        ("swift", {"widths": (64,) * 5}, "images of 28×28 pixels .* 6 poolings need 64"),
        ("swift", {"widths": (0,)}, r"widths must be whole numbers of at least 1, not \(0,\)"),
        ("cnn-6-16-120", {"resize": 6}, "images of 6×6 pixels are too small"),
        ("cnn-32", {"features": (32, "pol")}, "features must be .* not .*pol"),
        ("cnn-32", {"features": ("pool", 32)}, "features must be"),
        ("cnn-32", {"features": (32, "pool", "pool")}, "features must be"),
        ("cnn-32-64", {"dropout": (0.5,)}, "a cnn can't be made with .* dropout"),
        ("mlp-10-10", {"hidden": 64}, "a mlp can't be made with hidden 64"),
    ],
    ids=str,
)
def test_settings_that_do_not_suit_the_data_are_refused_in_one_sentence(
    model: str, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(FittingroomError, match=reason) as raised:
        build(model, (28, 28), **settings).fit(*images((28, 28), 24))
    assert "\n" not in str(raised.value)


def test_tiny_images_cannot_become_photos() -> None:
    with pytest.raises(FittingroomError, match=r"'photo' needs images of at least 8 .* not 40×4"):
        build("cnn-32", (40, 4), augmentation="photo").fit(*images((40, 4), 24))


def test_a_batch_may_contain_all_images() -> None:
    X, y = images((28, 28), 24)
    assert build("swift-90", (28, 28), batch_size=1000).fit(X, y).predict(X).shape == (24,)


@pytest.mark.parametrize(
    ("model", "settings"), [("logistic", {"C": "much"}), ("knn", {"n_neighbors": 2.5})], ids=str
)
def test_scikit_learn_names_an_invalid_parameter(model: str, settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(ValueError, match=f"The '{name}' parameter of .* must be"):
        build(model, (28, 28), **settings).fit(*images((28, 28), 24))


def test_large_images_get_larger_cells_by_default() -> None:
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


def network(name: str, **settings: Any) -> NetworkClassifier:
    classifier = make_classifier(name, **settings)
    assert isinstance(classifier, NetworkClassifier)
    return classifier


def recipe_of(name: str, **settings: Any) -> Recipe:
    recipe = network(name, **settings).recipe
    assert recipe is not None
    return recipe


def quick(name: str, **options: Any) -> NetworkClassifier:
    """A network trained for one epoch, small if the original is slow."""
    options = {"epochs": 1, "mirror_keeps_class": True, **SMALLER.get(name, {}), **options}
    if recipe_of(name, **options).needs_validation:
        options = {"keep": "last", "patience": None, "restore": False, **options}
    return network(name, **options)


def first_images(small: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return small.train.images[:N].reshape(N, -1), small.train.labels[:N]


@pytest.fixture(scope="module")
def fitted(small: Dataset) -> Callable[[str], NetworkClassifier]:
    @cache
    def fit(name: str) -> NetworkClassifier:
        return quick(name).fit(*first_images(small))

    return fit


@pytest.mark.parametrize("name", NETWORKS)
def test_gives_finite_probabilities(
    name: str, small: Dataset, fitted: Callable[[str], NetworkClassifier]
) -> None:
    probabilities = fitted(name).predict_proba(small.test.images[:50].reshape(50, -1))
    assert probabilities.shape == (50, 10)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert len(np.unique(probabilities.round(4), axis=0)) > 5, "it sees the images"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_gives_identical_probabilities(
    name: str, small: Dataset, fitted: Callable[[str], NetworkClassifier]
) -> None:
    X, y = first_images(small)
    again = clone(fitted(name)).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(again, fitted(name).predict_proba(X))


@pytest.mark.parametrize("name", NETWORKS)
def test_takes_string_labels_fewer_classes_and_other_shapes(name: str, small: Dataset) -> None:
    keep = small.train.labels[:N] < 3
    X = small.train.images[:N][keep]
    X = np.concatenate([X, X[:, :, :4]], axis=2)  # 28 × 32
    labels = np.array(["a shirt", "b trouser", "c pullover"])[small.train.labels[:N][keep]]
    classifier = quick(name, image_shape=(28, 32)).fit(X.reshape(len(X), -1), labels)
    assert classifier.predict_proba(X).shape == (len(X), 3)
    assert set(classifier.predict(X)) <= set(labels)


@pytest.mark.parametrize(
    "name",
    ["cnn-32-64-64", "cnn-64x4", "cnn-16-32-64-128", "swift"],
)
def test_images_too_small_for_the_layers_are_refused(name: str, small: Dataset) -> None:
    X = small.train.images[:50, :7, :7]
    with pytest.raises(InputError, match="7×7 pixels are too small"):
        quick(name).fit(X, small.train.labels[:50])


def test_augmentation_and_pooling_are_options_as_in_their_authors_comparison() -> None:
    def resolve(**options: Any) -> tuple[str, bool]:
        classifier = network("cnn-16-32-64-128", **options)
        assert classifier.recipe is not None
        assert classifier.net_options is not None
        return classifier.recipe.augmentation, classifier.net_options["pooling"]

    assert resolve() == ("keras-shift-flip", False)
    assert resolve(augmentation=False, pooling=True) == ("none", True)
    assert resolve(augmentation=True) == ("keras-shift-flip", False)
    assert resolve(augmentation="crop-flip") == ("crop-flip", False)
    for switch in (True, False):  # other networks have no switch
        with pytest.raises(UsageError, match="augmentation must be one of 'none', "):
            network("swift", augmentation=switch)


@pytest.mark.parametrize("name", ["swift", "swift-photo", "wide-resnet"])
def test_views_are_averaged_only_if_mirroring_keeps_the_class(name: str) -> None:
    for mirror in (True, False):
        classifier = network(name, mirror_keeps_class=mirror)
        assert classifier.net_options is not None
        assert classifier.net_options["mirror_views"] is mirror
        assert classifier.mirror_keeps_class is mirror


def test_swift_photo_is_swift_95_with_another_recipe() -> None:
    plain, ours = network("swift-95", random_state=3), network("swift-photo", random_state=3)
    assert plain.recipe is not None
    assert ours.recipe == dataclasses.replace(plain.recipe, augmentation="photo", epochs=16)
    assert ours.set_params(recipe=plain.recipe).get_params() == plain.get_params()
    assert recipe_of("swift-photo", augmentation="none").augmentation == "none"


def test_no_augmentation_is_none_at_all() -> None:
    for name in ("cnn-16-32-64-128", "swift"):
        recipe = recipe_of(name, augmentation=None)  # from `--set augmentation=none`
        assert recipe.augmentation == "none"


def test_the_recipes_are_the_published_ones() -> None:
    adam, sgd = (
        {"optimizer": "adam", "learning_rate": 1e-3},
        {
            "optimizer": "sgd",
            "learning_rate": 0.01,
        },
    )
    best = {"keep": "best-accuracy"}
    recipes: dict[str, dict[str, Any]] = {
        "mlp-10-10": {**adam, "epochs": 100, "batch_size": 32},
        "mlp-532": {**sgd, "epochs": 20, "batch_size": 32},
        "mlp-256-256": {**sgd, **best, "momentum": 0.9, "epochs": 20, "batch_size": 64},
        "mlp-256-256-onehot": {**sgd, "loss": "onehot", "epochs": 100, "batch_size": 64},
        "cnn-6-16-120": {**adam, **best, "epochs": 50, "batch_size": 128},
        "cnn-16-16-100": {**adam, **best, "epochs": 50, "batch_size": 128},
        "cnn-32-64-64": {**adam, "epochs": 10, "batch_size": 32},
        "cnn-64x4": {**adam, "epochs": 10, "batch_size": 32},
        "cnn-32": {**adam, "epochs": 10, "batch_size": 512},
        "cnn-32-64": {**adam, "epochs": 20, "batch_size": 512},
        "cnn-64-128-64": {**adam, "epochs": 50, "batch_size": 512},
        "cnn-16-32-64-128": {
            **adam,
            "epochs": 500,
            "batch_size": 128,
            "augmentation": "keras-shift-flip",
            "patience": 50,
            "watch": "loss",
            "restore": True,
        },
    }
    for name, fields in recipes.items():
        assert network(name).recipe == Recipe(**fields), name


class Patches(nn.Module):
    """A network that isn't in the package: the mean of each patch, then dense layers."""

    def __init__(
        self,
        image_shape: tuple[int, int] = (28, 28),
        n_classes: int = 10,
        *,
        patch: Annotated[int, Within(1, 64)] = 4,
        hidden: Widths = (),
    ) -> None:
        super().__init__()
        self.patch = patch
        height, width = image_shape
        widths = [(height // patch) * (width // patch), *hidden, n_classes]
        self.dense = nn.ModuleList(map(nn.Linear, widths, widths[1:]))

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x, self.patch).flatten(1)
        for layer in self.dense:
            x = layer(x.relu())
        return x


@pytest.fixture
def patches(monkeypatch: pytest.MonkeyPatch) -> NetworkRow:
    """`Patches` added like any network: a line in `NETS` and a row in `MODELS`."""
    row = NetworkRow(
        name="patches-7",
        about="the mean of each patch, one dense layer",
        net="patches",
        options={"patch": 7},
        recipe=Recipe(epochs=2, batch_size=20, learning_rate=0.01),
        seconds=4,
        parameters=170,
    )
    monkeypatch.setitem(NETS, row.net, Patches)
    monkeypatch.setitem(MODELS, row.name, row)
    return row


def test_a_network_is_a_file_and_a_row(patches: NetworkRow, small: Dataset, tmp_path: Path) -> None:
    """It can be listed, configured, fitted, saved, loaded and exported."""
    assert names_of(["patches-7"]) == ("patches-7",)
    listed = CliRunner().invoke(app, ["models", "--wide"]).stdout
    assert re.search(r"patches-7 +network +170 .* one dense layer", listed)

    classifier = network("patches-7", dataset=small, hidden=(9,), epochs=3)
    assert classifier.net_options == {"patch": 7, "hidden": (9,)}
    assert classifier.recipe == dataclasses.replace(patches.recipe, epochs=3)
    with pytest.raises(UnknownNameError, match=r"unknown option 'path'; did you mean patch"):
        make_classifier("patches-7", path=3)
    layers = layers_of("patches", patches.options, (28, 28), 10)
    assert sum(layer.parameters for layer in layers) == patches.parameters

    images, labels = small.train.images, small.train.labels
    classifier = network("patches-7", dataset=small, random_state=1).fit(images, labels)
    assert classifier.score(small.test.images, small.test.labels) > 0.4
    bundle = bundle_of(
        classifier,
        model="patches-7",
        class_names=small.class_names,
        image_shape=small.image_shape,
        data=Data(name=small.name, sha256=small.sha256, images=len(images)),
    )
    bundle.save(tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    assert loaded.facts.classifier == bundle.facts.classifier
    np.testing.assert_array_equal(
        loaded.predict_proba(small.test.images), bundle.predict_proba(small.test.images)
    )
    same = parity(write_onnx(loaded, tmp_path / "model.onnx"), loaded, small.test.images)
    assert same.images == same.labels_equal


@pytest.mark.parametrize(
    "options", [{"patch": 65}, {"patch": True}, {"patch": 4, "path": 4}, {}], ids=str
)
def test_a_new_networks_options_are_audited_too(
    options: dict[str, Any], patches: NetworkRow, small: Dataset
) -> None:
    classifier = network("patches-7", dataset=small).fit(*first_images(small))
    data = Data(name=small.name, sha256=small.sha256, images=N)
    shape, names = small.image_shape, small.class_names
    bundle = bundle_of(
        classifier, model="patches-7", class_names=names, image_shape=shape, data=data
    )
    tampered = bundle.facts.classifier.model_copy(update={"options": {"hidden": [], **options}})
    facts = bundle.facts.model_copy(update={"classifier": tampered})
    manifest = Manifest.of(facts, {"weights.safetensors": b"weights"})
    with pytest.raises(BundleError, match=[*options][-1] if options else "patch"):
        Manifest.parse(manifest.to_json().encode())
