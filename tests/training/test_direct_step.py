from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fittingroom.nets.mlp import MLP
from fittingroom.training.augment import Mixture
from fittingroom.training.direct_step import DirectStep, supports_direct_step
from fittingroom.training.recipe import Recipe

LABELS = torch.tensor([2, 0])


class Recorder(DirectStep):
    """Keeps its targets; its state counts steps."""

    def __init__(self, smoothing: float = 0.0) -> None:
        self.steps = torch.zeros(1)
        super().__init__(4, Recipe(label_smoothing=smoothing), {"steps": self.steps})

    def _train(self, images: Tensor, targets: Tensor, learning_rate: float) -> Tensor:
        assert not torch.is_grad_enabled()
        self.steps += 1
        self.targets = targets
        return targets

    def write_weights(self) -> None:
        raise AssertionError("it has none")


def test_targets_are_the_labels_smoothed() -> None:
    step = Recorder(smoothing=0.2)
    step(torch.zeros(2, 1, 3, 3), LABELS, 0.1)
    torch.testing.assert_close(
        step.targets, torch.tensor([[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]])
    )


def test_targets_are_mixed_as_the_images_are() -> None:
    step = Recorder()
    shares, nothing = torch.tensor([0.25, 0.0]), torch.tensor([False, True])
    mixture = Mixture(torch.tensor([1, 0]), shares, nothing)
    step(torch.zeros(2, 1, 3, 3), LABELS, 0.1, mixture)
    assert step.targets.tolist() == [[0.25, 0, 0.75, 0], [0.25] * 4]


def test_its_state_is_of_now_and_can_be_loaded() -> None:
    step, other = Recorder(), Recorder()
    for _ in range(3):
        step(torch.zeros(2, 1, 3, 3), LABELS, 0.1)
    assert step.state()["steps"].tolist() == [3]
    other.load({"steps": torch.tensor([5.0])})
    assert other.steps.tolist() == [5]
    with pytest.raises(KeyError, match="steps"):
        other.load({})


def test_which_trainings_it_supports() -> None:
    cpu, net = torch.device("cpu"), MLP(hidden=(3,))
    assert supports_direct_step(net, Recipe(), cpu)
    assert supports_direct_step(net, Recipe(optimizer="sgd", momentum=0.9), cpu)
    assert not supports_direct_step(net, Recipe(weight_decay=0.1), cpu)
    nesterov = Recipe(optimizer="sgd", momentum=0.9, nesterov=True)
    assert not supports_direct_step(net, nesterov, cpu)
    assert not supports_direct_step(net, Recipe(), torch.device("meta"))
    next(net.parameters()).requires_grad_(False)
    assert not supports_direct_step(net, Recipe(), cpu)
