from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.data.dataset import Dataset
from fittingroom.kernels import capabilities
from fittingroom.nets.cnn import CNN
from fittingroom.nets.mlp import MLP
from fittingroom.training.augment import Batch, Mixture, cutmix
from fittingroom.training.compiled_step.step import CompiledStep, supports_compiled_step
from fittingroom.training.loop import to_unit, train
from fittingroom.training.recipe import Recipe
from fittingroom.training.step import AutogradStep, make_step, resolve_precision

CPU = torch.device("cpu")
#: Widths that do and don't fill vectors, pooled and not, with and without a fused first layer.
NETWORKS: dict[str, dict[str, Any]] = {
    "cnn-6-16-120": {"features": (6, "pool", 16, "pool", 120), "hidden": (84,), "resize": 32},
    "cnn-16-16-100": {"features": (16, "pool", 16, "pool", 100), "hidden": (120,)},
    "cnn-32-64-64": {"features": (32, "pool", 64, "pool", 64, "pool"), "hidden": (64,)},
    "cnn-64x4": {"features": (64, "pool", 64, 64, 64, "pool"), "hidden": (13,)},
    "cnn-32-64": {
        "features": (32, "pool", 64, "pool"),
        "stride": 2,
        "hidden": (128, 256, 128),
    },
    "cnn-64-128-64": {
        "features": (64, "pool", 128, "pool", 64, "pool"),
        "stride": 2,
        "hidden": (128, 128),
    },
    "strided": {"features": (16, "pool", 20, 17), "stride": 2, "hidden": (9,), "resize": 30},
    "odd-and-even": {"features": (32, "pool", 64, 48, "pool", 20), "hidden": (64,)},
    "no-hidden-layer": {"features": (7, "pool", 33, "pool"), "hidden": ()},
    "no-pooling": {"features": (5, 9), "hidden": (20, 30)},
    "perceptron": {"hidden": (20, 256)},
    "softmax-regression": {"hidden": ()},
}
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.05},
    "momentum": {"optimizer": "sgd", "learning_rate": 0.02, "momentum": 0.9},
    "adam": {"optimizer": "adam"},
}


def loss(logits: Tensor, labels: Tensor, mixture: Mixture | None) -> Tensor:
    """The loss of each image with both labels, weighted by their shares."""
    own = F.cross_entropy(logits, labels, reduction="none")
    if mixture is None:
        return own.mean()
    other = F.cross_entropy(logits, labels[mixture.partners], reduction="none")
    return ((1 - mixture.shares) * own + mixture.shares * other).mean()


def network(name: str, **options: Any) -> CNN | MLP:
    torch.manual_seed(0)
    options = {**NETWORKS[name], **options}
    net: CNN | MLP = CNN(**options) if "features" in options else MLP(**options)
    return net.train()


def take(step: CompiledStep | AutogradStep, *arguments: Any) -> Tensor:
    """Take a step; the network then has its weights."""
    logits = step(*arguments)
    if isinstance(step, CompiledStep):
        step.write_weights()
    return logits


def batches(small: Dataset, sizes: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    images = to_unit(torch.from_numpy(small.train.images[: sum(sizes)].copy()))
    labels = torch.from_numpy(small.train.labels[: sum(sizes)].copy()).long()
    parts = (torch.split(tensor, list(sizes)) for tensor in (images, labels))
    return list(zip(*parts, strict=True))


def mixed(images: Tensor) -> tuple[Tensor, Mixture]:
    return cutmix(
        Batch(
            images=images,
            positions=torch.arange(len(images)),
            epoch=1,
            mirror_keeps_class=True,
            generator=torch.Generator().manual_seed(0),
        )
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_its_gradients_equal_those_of_autograd(name: str, threads: int, small: Dataset) -> None:
    """After a step of gradient descent of rate 1, the weights are off by the gradients."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = network(name)
        theirs = copy.deepcopy(ours)
        recipe = Recipe(optimizer="sgd", learning_rate=1.0)
        step = CompiledStep(ours, recipe)
        autograd = AutogradStep(theirs, recipe, loss, "float32", CPU)
        (batch,) = batches(small, (70,))  # more than a thread takes through at once
        torch.testing.assert_close(take(step, *batch, 1.0), autograd(*batch, 1.0))
    finally:
        torch.set_num_threads(before)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["odd-and-even", "cnn-32-64", "cnn-64-128-64"])
def test_in_bfloat16_it_is_as_close_to_float32_as_autograd(name: str, small: Dataset) -> None:
    """Odd and even sides of maps, and rows of kernels that begin at odd and at even pixels."""
    recipe = Recipe(optimizer="sgd", learning_rate=1.0)
    ours = network(name)
    start = copy.deepcopy(ours)
    theirs, exact = copy.deepcopy(ours), copy.deepcopy(ours)
    (batch,) = batches(small, (70,))
    take(CompiledStep(ours, recipe, "bfloat16"), *batch, 1.0)
    AutogradStep(theirs, recipe, loss, "bfloat16", CPU)(*batch, 1.0)
    AutogradStep(exact, recipe, loss, "float32", CPU)(*batch, 1.0)
    weights = (net.parameters() for net in (ours, theirs, exact, start))
    for mine, other, right, before in zip(*weights, strict=True):
        gradient = (right - before).norm()
        assert 0 < (mine - right).norm() < 1.5 * (other - right).norm() + 1e-6 * gradient
        assert (mine - right).norm() < 0.15 * gradient


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("mix", [False, True])
@pytest.mark.parametrize("name", ["cnn-16-16-100", "perceptron"])
def test_its_steps_equal_those_of_autograd(
    name: str, recipe: str, mix: bool, small: Dataset
) -> None:
    options = Recipe(**RECIPES[recipe])
    ours = network(name)
    theirs = copy.deepcopy(ours)
    steps = CompiledStep(ours, options), AutogradStep(theirs, options, loss, "float32", CPU)
    for images, labels in batches(small, (32, 32, 32, 7, 32)):
        x, mixture = mixed(images) if mix else (images, None)
        mine, other = (take(step, x, labels, options.learning_rate, mixture) for step in steps)
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)
    # Adam divides by the size of gradients: those near zero have no digits in common.
    for key, weight in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], weight, rtol=1e-3, atol=2e-4)


def test_labels_are_smoothed(small: Dataset) -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, label_smoothing=0.3)
    ours = network("no-hidden-layer")
    theirs = copy.deepcopy(ours)
    (batch,) = batches(small, (32,))

    def smoothed(logits: Tensor, labels: Tensor, _: Mixture | None) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=0.3)

    take(CompiledStep(ours, recipe), *batch, 0.1)
    AutogradStep(theirs, recipe, smoothed, "float32", CPU)(*batch, 0.1)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_dropout_is_that_of_the_layer(small: Dataset) -> None:
    """The same generator's next seed drops the same elements, if their number fills vectors."""
    recipe = Recipe(optimizer="sgd", learning_rate=1.0)
    ours = network("cnn-16-16-100", hidden=(64, 32), dropout=(0.5, 0.25))
    theirs = copy.deepcopy(ours)
    (batch,) = batches(small, (70,))
    torch.manual_seed(1)
    logits = take(CompiledStep(ours, recipe), *batch, 1.0)
    torch.manual_seed(1)
    expected = AutogradStep(theirs, recipe, loss, "float32", CPU)(*batch, 1.0)
    torch.testing.assert_close(logits, expected)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_every_image_has_dropouts_of_its_own(small: Dataset) -> None:
    """Whichever thread, and whichever pass, takes it through the network."""
    net = network("cnn-16-16-100", dropout=(0.5,))
    image, label = batches(small, (1,))[0]
    before = copy.deepcopy(net.state_dict())
    step = CompiledStep(net, Recipe())
    logits = take(step, image.repeat(80, 1, 1, 1), label.repeat(80), 0.0)
    assert len({tuple(row) for row in logits.tolist()}) == 80
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("number_format", ["float32", "bfloat16"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_its_state_can_be_loaded(recipe: str, number_format: str, small: Dataset) -> None:
    options = Recipe(**RECIPES[recipe])
    first, second = batches(small, (32, 32))
    net = network("cnn-32-64-64")
    step = CompiledStep(net, options, number_format)
    take(step, *first, 0.01)
    resumed = copy.deepcopy(net)
    other = CompiledStep(resumed, options, number_format)
    other.load({key: value.clone() for key, value in step.state().items()})
    for each in (step, other):
        take(each, *second, 0.01)
    for key, weight in net.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[key])


def test_weights_that_others_change_are_read_anew(small: Dataset) -> None:
    first, second = batches(small, (32, 32))
    net = network("no-hidden-layer")
    start = copy.deepcopy(net.state_dict())
    step = CompiledStep(net, Recipe(optimizer="sgd"))
    expected = step(*first, 0.1)
    take(step, *second, 0.1)
    net.load_state_dict(start)
    assert torch.equal(step(*first, 0.1), expected)


def test_it_learns_as_autograd_does(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = []
    for wide in (True, False):
        monkeypatch.setattr(capabilities, "has_wide_vectors", lambda wide=wide: wide)
        images = torch.from_numpy(small.train.images.copy())
        labels = torch.from_numpy(small.train.labels.copy()).long()
        result = train(network("cnn-32-64-64"), images, labels, Recipe(epochs=4), seed=1)
        accuracies.append(result.history[-1].train_accuracy)
    assert accuracies[0] > 0.5
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.03)


def test_which_networks_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(net: nn.Module, number_format: str = "float32", **fields: Any) -> type:
        return type(make_step(net, Recipe(**fields), loss, number_format, CPU))

    monkeypatch.setattr(capabilities, "has_wide_vectors", lambda: True)
    monkeypatch.setattr(capabilities, "multiplies_pairs", lambda: False)
    assert kind(CNN()) is CompiledStep
    assert kind(CNN(), "bfloat16") is AutogradStep
    assert kind(CNN(dropout=(0.5,)), optimizer="sgd", momentum=0.9) is CompiledStep
    assert kind(CNN(features=(8, 8), stride=2)) is CompiledStep
    assert kind(CNN(), weight_decay=0.01) is AutogradStep
    assert kind(CNN(), optimizer="sgd", momentum=0.9, nesterov=True) is AutogradStep
    assert kind(MLP()) is CompiledStep
    assert kind(MLP(), weight_decay=0.01) is AutogradStep
    assert kind(type("Other", (MLP,), {})()) is AutogradStep
    assert kind(type("Other", (CNN,), {})()) is AutogradStep
    assert not supports_compiled_step(CNN(), Recipe(), "float32", torch.device("meta"))
    frozen = CNN()
    next(frozen.parameters()).requires_grad_(False)
    assert kind(frozen) is AutogradStep
    changed = CNN()
    changed.features[0] = nn.Conv2d(1, 32, 3)
    assert kind(changed) is AutogradStep
    monkeypatch.setattr(capabilities, "has_wide_vectors", lambda: False)
    assert kind(CNN()) is AutogradStep


def test_bfloat16_is_for_layers_that_multiply_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(net: nn.Module, **fields: Any) -> str:
        return resolve_precision(net, Recipe(**fields), CPU, (28, 28))

    monkeypatch.setattr(capabilities, "has_wide_vectors", lambda: True)
    monkeypatch.setattr(capabilities, "multiplies_bfloat16", lambda: False)
    monkeypatch.setattr(capabilities, "multiplies_pairs", lambda: True)
    assert resolved(CNN(features=(8, "pool", 16), hidden=())) == "float32"
    assert resolved(CNN(features=(16, "pool", 16), hidden=())) == "bfloat16"
    assert resolved(MLP(hidden=(256, 256))) == "bfloat16"
    assert resolved(MLP(hidden=(10, 10))) == "float32"
    assert resolved(MLP(), precision="float32") == "float32"
    assert resolved(MLP(), weight_decay=0.1) == "float32"
    monkeypatch.setattr(capabilities, "multiplies_pairs", lambda: False)
    assert resolved(MLP()) == "float32"


def test_large_steps_are_left_to_matrix_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(net: nn.Module, shape: tuple[int, int] = (28, 28), **fields: Any) -> type:
        return type(make_step(net, Recipe(**fields), loss, "bfloat16", CPU, shape))

    monkeypatch.setattr(capabilities, "has_wide_vectors", lambda: True)
    monkeypatch.setattr(capabilities, "multiplies_pairs", lambda: True)
    monkeypatch.setattr(capabilities, "multiplies_matrices_of_bfloat16", lambda: True)
    assert kind(network("cnn-32-64-64")) is CompiledStep
    assert kind(network("cnn-6-16-120"), batch_size=128) is CompiledStep
    assert kind(network("cnn-64x4")) is AutogradStep
    assert kind(network("cnn-32-64-64"), batch_size=128) is AutogradStep
    assert kind(network("cnn-6-16-120"), (99, 99), batch_size=128) is CompiledStep  # resized
    assert kind(CNN(image_shape=(56, 56)), (56, 56), batch_size=64) is AutogradStep
    monkeypatch.setattr(capabilities, "multiplies_matrices_of_bfloat16", lambda: False)
    assert kind(network("cnn-64x4")) is CompiledStep
