from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from fittingroom.training.optim import Average, learning_rate, make_optimizer, update
from fittingroom.training.recipe import Recipe


def step(recipe: Recipe, weight: list[float], gradients: list[list[float]]) -> torch.Tensor:
    """A (1, n) kernel after one step for each gradient."""
    net = nn.Linear(len(weight), 1, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([weight]))
    optimizer = make_optimizer(net, recipe)
    for gradient in gradients:
        net.weight.grad = torch.tensor([gradient])
        optimizer.step()
    return net.weight.detach()[0]


def test_sgd_with_momentum_is_kerass() -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, momentum=0.9)
    velocity, weight = 0.0, 1.0
    for gradient in (1.0, -2.0, 3.0):
        velocity = 0.9 * velocity - 0.1 * gradient
        weight += velocity
    assert step(recipe, [1.0], [[1.0], [-2.0], [3.0]]).item() == pytest.approx(weight)


def test_nesterov_looks_ahead() -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, momentum=0.9, nesterov=True)
    velocity, weight = 0.0, 1.0
    for gradient in (1.0, -2.0, 3.0):
        velocity = 0.9 * velocity - 0.1 * gradient
        weight += 0.9 * velocity - 0.1 * gradient
    assert step(recipe, [1.0], [[1.0], [-2.0], [3.0]]).item() == pytest.approx(weight)


def test_adam_is_the_papers_with_kerass_epsilon() -> None:
    gradients = np.array([[1e-7, 0.5], [2e-7, -0.1], [1e-7, 0.2]])
    m = v = np.zeros(2)
    weight = np.array([1.0, -1.0])
    for t, g in enumerate(gradients, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        weight = weight - 1e-3 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-7)
    got = step(Recipe(), [1.0, -1.0], gradients.tolist())
    np.testing.assert_allclose(got.numpy(), weight, rtol=1e-6)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(optimizer="sgd", momentum=0.9, nesterov=True, weight_decay=0.1, learning_rate=0.1),
        Recipe(optimizer="sgd", momentum=0.9, learning_rate=0.1),
        Recipe(optimizer="sgd", learning_rate=0.1),
        Recipe(),
    ],
    ids=["nesterov", "momentum", "plain", "adam"],
)
def test_an_update_is_the_optimisers_step(recipe: Recipe) -> None:
    def trained(by: Callable[[torch.optim.Optimizer], object]) -> list[torch.Tensor]:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
        net[1].bias.requires_grad_(False)
        optimizer = make_optimizer(net, recipe)
        for number in range(4):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 / (number + 1)
            loss = net(torch.randn(7, 5)).square().sum()
            torch.autograd.backward(loss)
            if number == 2:
                net[0].weight.grad = None  # it isn't updated
            by(optimizer)
            optimizer.zero_grad()
        return [weight.detach() for weight in net.parameters()]

    for ours, torchs in zip(trained(update), trained(lambda o: o.step()), strict=True):
        assert torch.equal(ours, torchs)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_only_kernels_decay_and_frozen_weights_are_left_out(optimizer: str) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    net[2].weight.requires_grad_(False)
    groups = make_optimizer(
        net,
        Recipe(optimizer=optimizer, weight_decay=0.1, learning_rate=0.5),  # type: ignore[arg-type]
    ).param_groups
    decay = {id(w): group["weight_decay"] for group in groups for w in group["params"]}
    assert decay == {
        id(net[0].weight): 0.1,
        **dict.fromkeys((id(net[0].bias), id(net[1].weight), id(net[1].bias), id(net[2].bias)), 0),
    }


def test_constant_rate() -> None:
    assert {learning_rate(Recipe(), e, p) for e in (1, 10) for p in (0.0, 0.9)} == {1e-3}


def test_rising_rate_is_a_sweep_from_a_thousandth() -> None:
    recipe = Recipe(schedule="rising", epochs=40)
    assert learning_rate(recipe, 1, 0.0) == learning_rate(recipe, 1, 0.9) == 1e-3
    assert learning_rate(recipe, 21, 0.0) == pytest.approx(1e-2)
    assert learning_rate(recipe, 40, 0.0) == pytest.approx(0.0891, abs=1e-4)


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing() -> None:
    recipe = Recipe(schedule="one-cycle", warmup=0.25, epochs=8, learning_rate=0.4)
    rates = [learning_rate(recipe, epoch, 0.0) for epoch in range(1, 9)]
    assert rates[:4] == pytest.approx([0, 0.2, 0.4, 0.4 * 5 / 6])
    assert learning_rate(recipe, 8, 1.0) == pytest.approx(0, abs=1e-12)
    for warmup in (0.0, 1.0):  # no division by nothing
        edge = Recipe(schedule="one-cycle", warmup=warmup, epochs=2, learning_rate=0.4)
        assert max(learning_rate(edge, e, p) for e in (1, 2) for p in (0.0, 0.999)) <= 0.4


def test_cosine_rises_to_the_peak_and_falls_to_nothing() -> None:
    recipe = Recipe(schedule="cosine", warmup=0.25, epochs=8, learning_rate=0.4)
    rates = [learning_rate(recipe, epoch, 0.0) for epoch in range(1, 9)]
    assert rates[:3] == pytest.approx([0, 0.2, 0.4])
    assert rates[5] == pytest.approx(0.2)  # half of the way down
    assert rates[4] - rates[5] > rates[2] - rates[3]  # flat at the top
    assert learning_rate(recipe, 8, 1.0) == pytest.approx(0, abs=1e-12)


def test_stopping_early_does_not_move_the_schedule() -> None:
    full = Recipe(schedule="one-cycle", epochs=8)
    stopped = Recipe(schedule="one-cycle", epochs=8, stop_at=3)
    assert learning_rate(full, 3, 0.5) == learning_rate(stopped, 3, 0.5)


def test_average_follows_weights_and_running_statistics() -> None:
    net = nn.BatchNorm1d(1)
    assert net.running_mean is not None
    average = Average(net, decay=0.5)
    expected_weight, expected_mean = 1.0, 0.0
    for t, value in enumerate((2.0, 3.0, 5.0), start=1):
        with torch.no_grad():
            net.weight.fill_(value)
            net.running_mean.fill_(-value)
        average.update()
        decay = min(0.5, (1 + t) / (10 + t))
        expected_weight += (1 - decay) * (value - expected_weight)
        expected_mean += (1 - decay) * (-value - expected_mean)
    assert average.net.get_parameter("weight").item() == pytest.approx(expected_weight)
    assert average.net.get_buffer("running_mean").item() == pytest.approx(expected_mean)
    assert net.weight.item() == 5
