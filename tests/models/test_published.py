from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError, UnknownNameError, UsageError
from fittingroom.models import published
from fittingroom.models.network import NETS, NetworkClassifier, count_parameters
from fittingroom.training.recipe import Recipe

Builder = Callable[..., NetworkClassifier]

#: Builder and the numbers in its network for 28 × 28 pixels and ten classes.
NETWORKS: dict[Builder, int] = {
    published.mlp_10_10: 8_070,
    published.mlp_532: 422_950,
    published.mlp_256_256: 269_322,
    published.mlp_256_256_onehot: 269_322,
    published.cnn_6_16_120: 180_554,
    published.cnn_16_16_100: 126_310,
    published.cnn_32_64_64: 60_554,
    published.cnn_64x4: 119_065,
    published.cnn_32: 693_962,
    published.cnn_32_64: 159_882,
    published.cnn_64_128_64: 289_610,
    published.cnn_16_32_64_128: 6_663_402,
    published.swift_90: 99_114,
    published.swift_93: 382_378,
    published.swift: 382_378,
    published.swift_95: 973_226,
    published.swift_photo: 973_226,
    published.wide_resnet: 8_959_706,
}
#: Those of millions of numbers are slow; these are the same code on smaller networks.
SMALLER: dict[Builder, dict[str, Any]] = {
    published.cnn_16_32_64_128: {"pooling": True},
    published.wide_resnet: {"depth": 10, "width": 1},
}
every_network = pytest.mark.parametrize("build", NETWORKS, ids=lambda build: build.__name__)

N = 200


def build_quick(build: Builder, **options: Any) -> NetworkClassifier:
    """One epoch, on a fixed precision, so that a run is the same on every processor."""
    options = {"epochs": 1, "mirror_keeps_class": True, **SMALLER.get(build, {}), **options}
    if build(**options).recipe.needs_validation:
        options = {"keep": "last", "patience": None, "restore": False, **options}
    return build(**options)


def images(small: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return small.train.images[:N].reshape(N, -1), small.train.labels[:N]


@pytest.fixture(scope="module")
def fitted(small: Dataset) -> Callable[[Builder], NetworkClassifier]:
    @cache
    def fit(build: Builder) -> NetworkClassifier:
        return build_quick(build).fit(*images(small))

    return fit


@every_network
def test_has_as_many_parameters_as_published(build: Builder) -> None:
    classifier = build()
    net = NETS[classifier.net](**classifier.net_options)
    assert count_parameters(net) == NETWORKS[build]


@every_network
def test_gives_finite_probabilities(
    build: Builder, small: Dataset, fitted: Callable[[Builder], NetworkClassifier]
) -> None:
    probabilities = fitted(build).predict_proba(small.test.images[:50].reshape(50, -1))
    assert probabilities.shape == (50, 10)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert len(np.unique(probabilities.round(4), axis=0)) > 5, "it sees the images"


@every_network
def test_the_same_seed_gives_identical_probabilities(
    build: Builder, small: Dataset, fitted: Callable[[Builder], NetworkClassifier]
) -> None:
    X, y = images(small)
    again = clone(fitted(build)).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(again, fitted(build).predict_proba(X))


@every_network
def test_takes_string_labels_fewer_classes_and_other_shapes(build: Builder, small: Dataset) -> None:
    keep = small.train.labels[:N] < 3
    X = small.train.images[:N][keep]
    X = np.concatenate([X, X[:, :, :4]], axis=2)  # 28 × 32
    names = np.array(["a shirt", "b trouser", "c pullover"])[small.train.labels[:N][keep]]
    classifier = build_quick(build, image_shape=(28, 32)).fit(X.reshape(len(X), -1), names)
    assert classifier.predict_proba(X).shape == (len(X), 3)
    assert set(classifier.predict(X)) <= set(names)


@pytest.mark.parametrize(
    "build",
    [published.cnn_32_64_64, published.cnn_64x4, published.cnn_16_32_64_128, published.swift],
    ids=lambda build: build.__name__,
)
def test_images_too_small_for_the_layers_are_refused(build: Builder, small: Dataset) -> None:
    X = small.train.images[:50, :7, :7]
    with pytest.raises(InputError, match="7×7 pixels are too small"):
        build_quick(build).fit(X, small.train.labels[:50])


@every_network
def test_takes_options_for_recipe_network_and_classifier(build: Builder) -> None:
    classifier = build(epochs=3, precision="float32", random_state=5, image_shape=(20, 21))
    assert (classifier.recipe.epochs, classifier.recipe.precision) == (3, "float32")
    assert (classifier.random_state, classifier.image_shape) == (5, (20, 21))
    assert classifier.recipe.batch_size == build().recipe.batch_size


@every_network
def test_a_wrong_option_is_refused(build: Builder) -> None:
    with pytest.raises(UnknownNameError, match="did you mean epochs"):
        build(epoch=3)
    with pytest.raises(UsageError, match="epochs must be"):
        build(epochs=0)


def test_network_options_override() -> None:
    assert published.mlp_10_10(hidden=(7,)).net_options == {"hidden": (7,)}
    assert published.cnn_32(hidden=(7,)).net_options["features"] == (32, "pool")


def test_augmentation_and_pooling_are_options_as_their_author_compared_them() -> None:
    def chosen(**options: Any) -> tuple[str, bool]:
        classifier = published.cnn_16_32_64_128(**options)
        assert classifier.net_options is not None
        return classifier.recipe.augmentation, classifier.net_options["pooling"]

    assert chosen() == ("keras-shift-flip", False)
    assert chosen(augmentation=False, pooling=True) == ("none", True)
    assert chosen(augmentation="crop-flip") == ("crop-flip", False)


@pytest.mark.parametrize("build", [published.swift, published.swift_photo, published.wide_resnet])
def test_views_are_averaged_only_where_mirroring_keeps_the_class(build: Builder) -> None:
    for mirror in (True, False):
        classifier = build(mirror_keeps_class=mirror)
        assert classifier.net_options["mirror_views"] is mirror
        assert classifier.mirror_keeps_class is mirror


def test_swift_photo_is_swift_95_trained_otherwise() -> None:
    plain, ours = published.swift_95(random_state=3), published.swift_photo(random_state=3)
    assert ours.recipe == dataclasses.replace(plain.recipe, augmentation="photo", epochs=16)
    assert ours.set_params(recipe=plain.recipe).get_params() == plain.get_params()
    assert published.swift_photo(augmentation="none").recipe.augmentation == "none"


def test_no_augmentation_is_none_at_all() -> None:
    for build in (published.cnn_16_32_64_128, published.swift):
        recipe = build(augmentation=None).recipe  # what `--set augmentation=none` says
        assert recipe is not None
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
    recipes: dict[Builder, dict[str, Any]] = {
        published.mlp_10_10: {**adam, "epochs": 100, "batch_size": 32},
        published.mlp_532: {**sgd, "epochs": 20, "batch_size": 32},
        published.mlp_256_256: {**sgd, **best, "momentum": 0.9, "epochs": 20, "batch_size": 64},
        published.mlp_256_256_onehot: {**sgd, "loss": "onehot", "epochs": 100, "batch_size": 64},
        published.cnn_6_16_120: {**adam, **best, "epochs": 50, "batch_size": 128},
        published.cnn_16_16_100: {**adam, **best, "epochs": 50, "batch_size": 128},
        published.cnn_32_64_64: {**adam, "epochs": 10, "batch_size": 32},
        published.cnn_64x4: {**adam, "epochs": 10, "batch_size": 32},
        published.cnn_32: {**adam, "epochs": 10, "batch_size": 512},
        published.cnn_32_64: {**adam, "epochs": 20, "batch_size": 512},
        published.cnn_64_128_64: {**adam, "epochs": 50, "batch_size": 512},
        published.cnn_16_32_64_128: {
            **adam,
            "epochs": 500,
            "batch_size": 128,
            "augmentation": "keras-shift-flip",
            "patience": 50,
            "watch": "loss",
            "restore": True,
        },
    }
    for build, fields in recipes.items():
        assert build().recipe == Recipe(**fields), build.__name__
