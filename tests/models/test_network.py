from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from fittingroom.data import idx
from fittingroom.data.dataset import Dataset
from fittingroom.data.mapped import MappedRows, memory_map
from fittingroom.errors import DataError, InputError, UnknownNameError, UsageError
from fittingroom.models import network
from fittingroom.models.network import NetworkClassifier, count_parameters
from fittingroom.nets.mlp import MLP
from fittingroom.training import loop, shuffle
from fittingroom.training.recipe import Recipe


def rows(small: Dataset, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    return small.train.images[:n].reshape(n, -1), small.train.labels[:n]


def tiny(**parameters: Any) -> NetworkClassifier:
    parameters = {
        "net_options": {"hidden": (16,)},
        "recipe": Recipe(epochs=2, learning_rate=0.01),
        **parameters,
    }
    return NetworkClassifier("mlp", **parameters)


def test_keeps_scikit_learns_contract() -> None:
    """No check is expected to fail.

    The checks' data range over a few units, which is black to a network of pixels, so it needs a
    high rate to tell them apart.
    """
    classifier = NetworkClassifier(
        "mlp",
        net_options={"hidden": (32,)},
        recipe=Recipe(epochs=80, learning_rate=0.1, batch_size=500),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(classifier, on_fail=None, on_skip=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}
    assert sum(r["status"] == "passed" for r in results) > 45


def test_predictions_are_probabilities_of_the_classes(small: Dataset) -> None:
    X, y = rows(small)
    classifier = tiny().fit(X, y)
    probabilities = classifier.predict_proba(X)
    assert probabilities.shape == (300, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(classifier.predict(X), probabilities.argmax(axis=1))
    assert classifier.n_parameters_ == 784 * 16 + 16 + 16 * 10 + 10
    assert [e.epoch for e in classifier.history_] == [1, 2]
    assert (classifier.kept_epoch_, classifier.device_) == (2, "cpu")
    assert classifier.precision_ in ("float32", "bfloat16")  # as the processor has instructions
    assert {w.dtype for w in classifier.net_.parameters()} == {torch.float32}


def test_bytes_floats_and_images_give_the_same_result(small: Dataset) -> None:
    X, y = rows(small)
    expected = tiny().fit(X, y).predict_proba(X)
    images = X.reshape(-1, 28, 28)
    forms = (
        images,
        images[..., None],
        images[:, None],
        list(images),
        torch.from_numpy(images.copy()),
    )
    for form in (X.astype(np.float64), X.astype(np.int64), *forms):
        np.testing.assert_allclose(tiny().fit(form, y).predict_proba(form), expected, atol=1e-6)


def test_string_labels_come_back(small: Dataset) -> None:
    X, y = rows(small)
    names = np.array(small.class_names)[y]
    classifier = tiny().fit(X, names)
    assert set(classifier.predict(X)) <= set(names)
    assert classifier.classes_.tolist() == sorted(small.class_names)
    order = np.argsort(small.class_names)
    # The columns are the classes that they are named for.
    np.testing.assert_array_equal(order[np.searchsorted(classifier.classes_, names)], y)


def test_a_class_may_be_missing_from_most_batches(small: Dataset) -> None:
    X, y = rows(small)
    y = np.where(np.arange(300) < 2, 77, y)  # a class of two images
    classifier = tiny(recipe=Recipe(epochs=1, batch_size=16)).fit(X, y)
    assert classifier.predict_proba(X).shape == (300, 11)


def test_random_state_decides_everything(small: Dataset) -> None:
    X, y = rows(small)
    first, again, other = (tiny(random_state=seed).fit(X, y).predict_proba(X) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    first, second = (
        tiny(random_state=np.random.RandomState(3)).fit(X, y).predict_proba(X) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    # None draws anew every time.
    first, second = (tiny(random_state=None).fit(X, y).predict_proba(X) for _ in range(2))
    assert not np.allclose(first, second)


def test_clone_and_parameters() -> None:
    classifier = tiny(random_state=4, image_shape=(28, 28), mirror_keeps_class=True)
    copied = clone(classifier)
    assert copied.get_params() == classifier.get_params()
    assert copied.set_params(random_state=5).random_state == 5


def test_validation_images_are_evaluated_and_not_trained_on(small: Dataset) -> None:
    X, y = rows(small)
    V, v = small.train.images[300:400].reshape(100, -1), small.train.labels[300:400]
    names = np.array(small.class_names)
    measured = tiny().fit(X, names[y], validation=(V, names[v]))
    accuracy = np.mean(measured.predict(V) == names[v])
    assert measured.history_[-1].validation_accuracy == pytest.approx(accuracy)
    plain = tiny().fit(X, names[y])
    np.testing.assert_array_equal(measured.predict_proba(V), plain.predict_proba(V))


def test_a_recipe_that_needs_validation_holds_a_tenth_out(small: Dataset) -> None:
    X, y = small.train.images[:500].reshape(500, -1), small.train.labels[:500]
    recipe = Recipe(epochs=4, learning_rate=0.05, keep="best-accuracy")
    classifier = tiny(recipe=recipe).fit(X, y)
    figures = [
        e.validation_accuracy for e in classifier.history_ if e.validation_accuracy is not None
    ]
    assert len(figures) == 4
    assert classifier.kept_epoch_ == 1 + int(np.argmax(figures))
    assert all((50 * figure) == pytest.approx(round(50 * figure)) for figure in figures)
    with pytest.raises(DataError, match="needs at least 10"):
        tiny(recipe=recipe).fit(X[:50], y[:50])


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1], "3 validation images but labels of shape"), ([0, 1, 11], "validation label 11")],
)
def test_invalid_validation_labels_are_refused(
    small: Dataset, labels: list[int], message: str
) -> None:
    X, y = rows(small)
    with pytest.raises(InputError, match=message):
        tiny().fit(X, y, validation=(X[:3], labels))


def test_on_epoch_is_called(small: Dataset) -> None:
    calls: list[tuple[int, int]] = []
    tiny().fit(*rows(small, 50), on_epoch=lambda e, total: calls.append((e.epoch, total)))
    assert calls == [(1, 2), (2, 2)]


def test_the_image_shape_is_given_inferred_or_a_square(small: Dataset) -> None:
    X, y = rows(small, 50)
    assert tiny().fit(X, y).image_shape_ == (28, 28)
    assert tiny(image_shape=(14, 56)).fit(X, y).image_shape_ == (14, 56)
    assert tiny().fit(X.reshape(50, 56, 14), y).image_shape_ == (56, 14)
    assert tiny().fit(X[:, :770], y).image_shape_ == (1, 770)
    with pytest.raises(InputError, match="rows of 770 numbers aren't square images"):
        NetworkClassifier("cnn").fit(X[:, :770], y)
    with pytest.raises(
        InputError, match="image_shape 20×20 makes 400 pixels, but the rows have 784"
    ):
        tiny(image_shape=(20, 20)).fit(X, y)


def test_scaled_images_are_refused(small: Dataset) -> None:
    X, y = rows(small)
    with pytest.raises(InputError, match="unscaled"):
        tiny().fit(X / 255, y)
    with pytest.raises(InputError, match="unscaled"):
        tiny().fit(X, y).predict(X / 255)
    with pytest.raises(InputError, match="before standardising"):
        tiny().fit((X - X.mean()) / X.std(), y)
    with pytest.raises(InputError, match="from 0 to 15; multiply them by 255 / 15"):
        tiny().fit(X // 16 - X // 16 // 16, y)


def test_predicting_before_fitting_is_refused(small: Dataset) -> None:
    with pytest.raises(NotFittedError):
        tiny().predict(rows(small)[0])


def test_an_unknown_network_gets_a_suggestion(small: Dataset) -> None:
    with pytest.raises(UnknownNameError, match="did you mean swift"):
        NetworkClassifier("swfit").fit(*rows(small))


def test_a_users_module_is_copied_and_keeps_its_initial_weights(small: Dataset) -> None:
    X, y = rows(small)
    mine = MLP(hidden=(8,))
    before = {name: weight.clone() for name, weight in mine.state_dict().items()}
    recipe = Recipe(optimizer="sgd", learning_rate=1e-30, epochs=1)
    classifier = NetworkClassifier(mine, recipe=recipe).fit(X, y)
    assert classifier.net_ is not mine
    for name, weight in mine.state_dict().items():
        assert torch.equal(weight, before[name])
        torch.testing.assert_close(weight, classifier.net_.state_dict()[name], atol=1e-20, rtol=0)
    trained = NetworkClassifier(mine, recipe=Recipe(epochs=1)).fit(X, y)
    weight = mine.get_parameter("layers.1.weight")
    assert not torch.equal(trained.net_.get_parameter("layers.1.weight"), weight)
    assert torch.equal(weight, before["layers.1.weight"])


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (MLP(n_classes=7), "gives 7 outputs per image, but there are 10 classes"),
        (nn.Conv2d(3, 10, 3), r"can't take images \(batch, 1, 28, 28\)"),
        (nn.Identity(), "gives 1×28×28 outputs per image"),
        (nn.ModuleList([nn.Flatten()]), "NotImplementedError: "),
    ],
)
def test_a_module_that_does_not_fit_the_images_is_refused(
    small: Dataset, net: nn.Module, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        NetworkClassifier(net).fit(*rows(small))


def build() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def test_a_function_builds_the_module_from_the_seed(small: Dataset) -> None:
    X, y = rows(small)
    recipe = Recipe(optimizer="sgd", learning_rate=1e-30, epochs=1)
    state = torch.get_rng_state()
    first, again, other = (
        NetworkClassifier(build, recipe=recipe, random_state=seed)
        .fit(X, y)
        .net_.get_parameter("1.weight")
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (lambda: 3, "the function returns a int, where a torch module is needed"),
        (lambda: nn.Linear(-1, 10), "the network can't be built: "),
        (nn.Linear, "the network can't be built: TypeError"),
    ],
)
def test_a_function_that_builds_no_module_is_refused(
    small: Dataset, net: Callable[[], nn.Module], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        NetworkClassifier(net).fit(*rows(small))


def test_lazy_layers_get_their_weights_from_the_seed(small: Dataset) -> None:
    X, y = rows(small)
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
    recipe = Recipe(optimizer="sgd", learning_rate=1e-30, epochs=1)
    state = torch.get_rng_state()
    first, again, other = (
        NetworkClassifier(lazy, recipe=recipe, random_state=seed)
        .fit(X, y)
        .net_.get_parameter("1.weight")
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert isinstance(lazy[1], nn.LazyLinear)
    trained = NetworkClassifier(lazy, recipe=Recipe(epochs=1)).fit(X, y).net_
    assert not torch.allclose(trained.get_parameter("1.weight"), first)


def test_options_are_for_named_networks(small: Dataset) -> None:
    with pytest.raises(UsageError, match="named network"):
        NetworkClassifier(MLP(), net_options={"hidden": (3,)}).fit(*rows(small))


def test_running_statistics_are_no_parameters() -> None:
    assert count_parameters(nn.BatchNorm1d(3)) == 6


@pytest.fixture
def mapped(small: Dataset, tmp_path: Path) -> np.ndarray:
    idx.write_idx(tmp_path / "images", small.train.images)
    return np.memmap(tmp_path / "images", np.uint8, "r", 16, small.train.images.shape)


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 images, buffers of 640."""
    for module in (network, loop, shuffle):
        monkeypatch.setattr(module, "BUFFER", 784 * 640)
    monkeypatch.setattr(shuffle, "BLOCK", 784 * 64)


def test_a_map_that_fits_into_a_buffer_trains_to_the_same_bits(
    small: Dataset, mapped: np.ndarray
) -> None:
    X, y = rows(small)
    expected = tiny().fit(X, y).predict_proba(X)
    for same in (mapped[:300], mapped[:300].reshape(300, -1), MappedRows(mapped, np.arange(300))):
        np.testing.assert_array_equal(tiny().fit(same, y).predict_proba(same), expected)


@pytest.mark.usefixtures("small_buffers")
@pytest.mark.parametrize("keep", ["last", "best-accuracy"])
def test_a_larger_map_stays_on_disk_and_trains_as_well(
    small: Dataset, mapped: np.ndarray, monkeypatch: pytest.MonkeyPatch, keep: Any
) -> None:
    y = small.train.labels
    test = small.test.images.reshape(1000, -1)
    recipe = Recipe(epochs=6, learning_rate=0.01, keep=keep)

    def accuracy(X: Any) -> float:
        classifier = tiny(recipe=recipe).fit(X, y, validation=(test[:300], small.test.labels[:300]))
        assert memory_map(mapped) is mapped
        return float((classifier.predict(test) == small.test.labels).mean())

    in_memory = accuracy(mapped.copy())
    assert in_memory > 0.7
    inputs: list[Any] = []

    def train(*arguments: Any, **options: Any) -> loop.TrainingResult:
        inputs.append(arguments[1])
        return loop.train(*arguments, **options)

    monkeypatch.setattr(network, "train", train)
    for X in (mapped, mapped.reshape(2000, -1), MappedRows(mapped), MappedRows(mapped, ORDER)):
        assert accuracy(X) == pytest.approx(in_memory, abs=0.04)
    assert all(isinstance(images, MappedRows) for images in inputs)
    held_out = tiny(recipe=Recipe(epochs=1, keep="best-loss")).fit(mapped, y)
    assert held_out.history_[0].validation_accuracy is not None
    assert len(inputs[-1]) == 1800
    np.testing.assert_array_equal(
        held_out.predict_proba(mapped), held_out.predict_proba(small.train.images)
    )


ORDER = np.arange(2000)


def test_input_that_does_not_match_a_map_is_refused(small: Dataset, mapped: np.ndarray) -> None:
    X, y = MappedRows(mapped), small.train.labels
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        tiny().fit(X, y[:-1])
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        tiny().fit(X, y + 0.5)
    with pytest.raises(ValueError, match=r"784 features, but .* expecting 770"):
        tiny().fit(rows(small)[0][:, :770], y[:300]).predict(X)
    with pytest.raises(InputError, match="image_shape 20×20"):
        tiny(image_shape=(20, 20)).fit(X, y)
