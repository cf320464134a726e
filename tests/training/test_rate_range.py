from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from fittingroom.data.dataset import Dataset
from fittingroom.nets.cnn import CNN
from fittingroom.nets.mlp import MLP
from fittingroom.training.rate_range import HIGH, LOW, STEPS, RateRange, rate_range
from fittingroom.training.recipe import Recipe


@pytest.fixture(scope="module")
def found(small: Dataset) -> RateRange:
    return ranged(small, Recipe(optimizer="sgd", batch_size=64))


def ranged(small: Dataset, recipe: Recipe, **options: object) -> RateRange:
    torch.manual_seed(0)
    net = MLP(hidden=(32,))
    images = torch.from_numpy(small.train.images[:1000].copy())
    labels = torch.from_numpy(small.train.labels[:1000].copy())
    return rate_range(net, images, labels, recipe, **options)  # type: ignore[arg-type]


def test_the_loss_falls_and_then_explodes(found: RateRange) -> None:
    assert found.rates[0] == LOW
    np.testing.assert_allclose(found.rates[1:] / found.rates[:-1], (HIGH / LOW) ** (1 / 299))
    assert len(found.rates) == len(found.losses) == len(found.smoothed) < STEPS
    assert found.smoothed[0] == found.losses[0]
    assert found.smoothed.min() < 0.6 * found.smoothed[0]
    assert found.smoothed[-1] > 4 * found.smoothed.min()
    assert found.exploded
    assert found.suggested == pytest.approx(found.lowest / 10, rel=0.05)


def test_the_suggestion_trains_and_a_hundred_times_it_does_not(
    found: RateRange, small: Dataset
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

    assert loss(found.suggested) < 1.2
    assert loss(100 * found.suggested) > 1.8


def test_it_repeats_and_is_json(found: RateRange, small: Dataset) -> None:
    steps: list[tuple[int, int]] = []
    again = ranged(
        small,
        Recipe(optimizer="sgd", batch_size=64, learning_rate=7.0, schedule="one-cycle"),
        on_step=lambda done, of: steps.append((done, of)),
    )
    np.testing.assert_array_equal(again.losses, found.losses)  # the recipe's rate doesn't matter
    assert steps[-1] == (len(found.losses), STEPS)
    json.dumps(found.to_dict(), allow_nan=False)


def test_networks_with_mixing_and_averages_too(small: Dataset) -> None:
    recipe = Recipe(augmentation="crop-erase-mix", averaging=0.9, batch_size=128)
    images = torch.from_numpy(small.train.images[:300].copy())
    labels = torch.from_numpy(small.train.labels[:300].copy())
    found = rate_range(CNN(features=(4, "pool"), hidden=(8,)), images, labels, recipe)
    assert np.isfinite(found.smoothed).all()
