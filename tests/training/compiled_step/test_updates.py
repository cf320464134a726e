from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from fittingroom.nets.cnn import CNN
from fittingroom.training.compiled_step.plan import plan
from fittingroom.training.compiled_step.updates import PackedAdam, PackedDescent
from fittingroom.training.compiled_step.weights import PackedWeights
from fittingroom.training.optim import make_optimizer
from fittingroom.training.recipe import Recipe


def vectors(packed: PackedWeights) -> list[np.ndarray]:
    """All that products take."""
    return [vector for layer in packed.layers if layer for vector in layer[:3]]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_they_update_as_torchs_optimisers(optimizer: Literal["adam", "sgd"]) -> None:
    """With the gradients of two threads, whose sum counts; the packed weights are kept, too."""
    torch.manual_seed(0)
    ours, theirs = CNN(hidden=(12,)), CNN(hidden=(12,))
    theirs.load_state_dict(ours.state_dict())
    recipe = Recipe(optimizer=optimizer, momentum=0.9 if optimizer == "sgd" else 0.0)
    packed = PackedWeights(plan([*ours.features, *ours.classifier], 28, 28))
    packed.fill()
    update = (
        PackedAdam(packed.weights)
        if optimizer == "adam"
        else PackedDescent(packed.weights, momentum=0.9)
    )
    expected = make_optimizer(theirs, recipe)
    for _ in range(3):
        gradients = np.zeros((2, packed.size), np.float32)
        for weight, of_weight in zip(theirs.parameters(), packed.positions, strict=True):
            places = of_weight.gradient
            gradients[:, places] = np.random.default_rng(1).normal(size=(2, len(places)))
            total = gradients[:, places].sum(axis=0)
            weight.grad = torch.from_numpy(total).view_as(weight)
        update(packed, gradients, recipe.learning_rate)
        expected.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    kept = [vector.copy() for vector in vectors(packed)]
    packed.fill()
    for read, updated in zip(vectors(packed), kept, strict=True):
        np.testing.assert_array_equal(read, updated)
