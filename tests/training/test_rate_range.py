from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from fittingroom.data.dataset import Dataset
from fittingroom.nets.cnn import CNN
from fittingroom.nets.mlp import MLP
from fittingroom.training.rate_range import HIGH, LOW, STEPS, RateRange, rate_range
from fittingroom.training.recipe import Recipe

RECIPE = Recipe(optimizer="sgd", batch_size=64, precision="float32")


@pytest.fixture(scope="module")
def result(small: Dataset) -> RateRange:
    return run(small, RECIPE)


def run(small: Dataset, recipe: Recipe, **options: object) -> RateRange:
    torch.manual_seed(0)
    net = MLP(hidden=(32,))
    images = torch.from_numpy(small.train.images[:1000].copy())
    labels = torch.from_numpy(small.train.labels[:1000].copy())
    return rate_range(net, images, labels, recipe, **options)  # type: ignore[arg-type]


def test_the_loss_falls_and_then_explodes(result: RateRange) -> None:
    assert result.rates[0] == LOW
    np.testing.assert_allclose(result.rates[1:] / result.rates[:-1], (HIGH / LOW) ** (1 / 299))
    assert len(result.rates) == len(result.losses) == len(result.smoothed) < STEPS
    assert result.smoothed[0] == result.losses[0]
    assert result.smoothed.min() < 0.6 * result.smoothed[0]
    assert result.smoothed[-1] > 4 * result.smoothed.min()
    assert result.exploded
    assert result.suggested == pytest.approx(result.lowest / 10, rel=0.05)


def test_the_suggestion_trains_and_a_hundred_times_it_does_not(
    result: RateRange, small: Dataset
) -> None:
    from fittingroom.errors import NotFiniteError
    from fittingroom.training.loop import train

    def loss(rate: float) -> float:
        torch.manual_seed(0)
        images = torch.from_numpy(small.train.images[:1000].copy())
        labels = torch.from_numpy(small.train.labels[:1000].copy())
        recipe = Recipe(optimizer="sgd", learning_rate=rate, epochs=5, batch_size=64)
        try:
            return train(MLP(hidden=(32,)), images, labels, recipe).history[-1].train_loss
        except NotFiniteError:
            return float("inf")

    assert loss(result.suggested) < 1.2
    assert loss(100 * result.suggested) > 1.8


def test_it_is_reproducible_and_json(result: RateRange, small: Dataset) -> None:
    steps: list[tuple[int, int]] = []
    again = run(
        small,
        dataclasses.replace(RECIPE, learning_rate=7.0, schedule="one-cycle"),
        on_step=lambda done, of: steps.append((done, of)),
    )
    np.testing.assert_array_equal(again.losses, result.losses)  # the recipe's rate doesn't matter
    assert steps[-1] == (len(result.losses), STEPS)
    json.dumps(result.to_dict(), allow_nan=False)


def test_networks_with_mixing_and_averaging_too(small: Dataset) -> None:
    recipe = Recipe(augmentation="crop-erase-mix", averaging=0.9, batch_size=128)
    images = torch.from_numpy(small.train.images[:300].copy())
    labels = torch.from_numpy(small.train.labels[:300].copy())
    result = rate_range(CNN(features=(4, "pool"), hidden=(8,)), images, labels, recipe)
    assert np.isfinite(result.smoothed).all()
