from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from fittingroom.data.dataset import Dataset
from fittingroom.kernels import capabilities
from fittingroom.nets.cnn import CNN
from fittingroom.nets.mlp import MLP
from fittingroom.training.augment import Batch, Mixture, cutmix
from fittingroom.training.dense_step import DenseStep, supports_dense_step
from fittingroom.training.recipe import Recipe
from fittingroom.training.step import AutogradStep, make_step

CPU = torch.device("cpu")
RECIPES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": "sgd", "learning_rate": 0.05},
    "momentum": {"optimizer": "sgd", "learning_rate": 0.02, "momentum": 0.9},
    "adam": {"optimizer": "adam"},
    "smoothing": {"optimizer": "sgd", "learning_rate": 0.05, "label_smoothing": 0.2},
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("hidden", [(), (10, 10), (64,)])
@pytest.mark.parametrize("mixed", [False, True])
def test_its_steps_equal_those_of_autograd(
    name: str, hidden: tuple[int, ...], mixed: bool, small: Dataset
) -> None:
    recipe = Recipe(**RECIPES[name])
    torch.manual_seed(0)
    ours, theirs = MLP(hidden=hidden), MLP(hidden=hidden)
    theirs.load_state_dict(ours.state_dict())

    def loss(logits: torch.Tensor, labels: torch.Tensor, mixture: Mixture | None) -> torch.Tensor:
        """The loss of each image with both labels, weighted by their shares, or with all labels."""
        options: dict[str, Any] = {
            "label_smoothing": recipe.label_smoothing,
            "reduction": "none",
        }
        own = F.cross_entropy(logits, labels, **options)
        if mixture is None:
            return own.mean()
        other = F.cross_entropy(logits, labels[mixture.partners], **options)
        mixed_loss = (1 - mixture.shares) * own + mixture.shares * other
        any_class = -logits.log_softmax(dim=1).mean(dim=1)
        return torch.where(mixture.nothing, any_class, mixed_loss).mean()

    steps = DenseStep(ours, recipe), AutogradStep(theirs, recipe, loss, "float32", CPU)
    images = torch.from_numpy(small.train.images[:320].copy()).float()[:, None] / 255
    labels = torch.from_numpy(small.train.labels[:320].copy()).long()
    generator, mixture = torch.Generator().manual_seed(0), None
    for start in range(0, 320, 32):
        x, y = images[start : start + 32], labels[start : start + 32]
        if mixed:
            batch = Batch(
                images=x,
                positions=torch.arange(start, start + 32),
                epoch=1,
                mirror_keeps_class=True,
                generator=generator,
            )
            x, mixture = cutmix(batch)
            nothing = torch.rand(32, generator=generator) < 0.2
            mixture = dataclasses.replace(mixture, nothing=nothing)
        mine, other = (step(x, y, recipe.learning_rate, mixture) for step in steps)
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)
    for key, weight in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], weight, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_its_state_can_be_loaded(name: str) -> None:
    recipe = Recipe(**RECIPES[name])
    torch.manual_seed(0)
    nets = MLP(hidden=(8,)), MLP(hidden=(8,))
    batch = torch.rand(4, 1, 28, 28), torch.tensor([1, 2, 3, 4])
    first = DenseStep(nets[0], recipe)
    first(*batch, 0.01)
    nets[1].load_state_dict(nets[0].state_dict())
    second = DenseStep(nets[1], recipe)
    second.load({key: value.clone() for key, value in first.state().items()})
    for step in (first, second):
        step(*batch, 0.01)
    for key, weight in nets[0].state_dict().items():
        assert torch.equal(weight, nets[1].state_dict()[key])


def test_which_networks_get_which_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "has_wide_vectors", lambda: False)

    def kind(net: torch.nn.Module, number_format: str = "float32", **fields: Any) -> type:
        return type(make_step(net, Recipe(**fields), no_loss, number_format, CPU))

    def no_loss(*_: object) -> torch.Tensor:
        raise AssertionError("no step is taken")

    assert kind(MLP()) is DenseStep
    assert kind(CNN(stride=2, features=(4, 4))) is AutogradStep
    assert kind(MLP(), "bfloat16") is AutogradStep
    assert kind(MLP(), weight_decay=0.01) is AutogradStep
    assert kind(MLP(), optimizer="sgd", momentum=0.9, nesterov=True) is AutogradStep
    assert not supports_dense_step(MLP(), Recipe(), "float32", torch.device("meta"))
    frozen = MLP()
    next(frozen.parameters()).requires_grad_(False)
    assert kind(frozen) is AutogradStep
    assert kind(type("Other", (MLP,), {})()) is AutogradStep
