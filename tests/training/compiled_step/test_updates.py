from __future__ import annotations

import numpy as np
import pytest
import torch

from fittingroom.nets.cnn import CNN
from fittingroom.training.compiled_step.plan import plan
from fittingroom.training.compiled_step.updates import PackedAdam, PackedDescent
from fittingroom.training.compiled_step.weights import PackedWeights
from fittingroom.training.optim import make_optimizer
from fittingroom.training.recipe import Recipe


def copies(packed: PackedWeights) -> list[np.ndarray]:
    """All that products take."""
    return [a.copy() for layer in packed.layers if layer for a in (layer.kernel, layer.backward)]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("momentum", [None, 0.0, 0.9])
def test_they_update_as_torchs_optimisers(momentum: float | None, half: bool) -> None:
    """With the gradients of two threads, whose sum counts; products get the new weights, too."""
    torch.manual_seed(0)
    ours, theirs = (CNN(features=(16, "pool", 20), hidden=(12,)) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    packed = PackedWeights(plan([*ours.features, *ours.classifier], 28, 28, half=half))
    packed.refresh()
    update: PackedAdam | PackedDescent
    if momentum is None:
        recipe, update = Recipe(optimizer="adam"), PackedAdam(packed)
    else:
        recipe = Recipe(optimizer="sgd", momentum=momentum)
        update = PackedDescent(packed, momentum)
    expected = make_optimizer(theirs, recipe)
    layers = [layer for layer in packed.layers if layer]
    for seed in range(3):
        gradients = np.random.default_rng(seed).normal(size=(2, packed.size)).astype(np.float32)
        total = gradients.sum(axis=0)
        parts = [part for layer in layers for part in layer.as_of_module(total)]
        for weight, part in zip(theirs.parameters(), parts, strict=True):
            weight.grad = part.contiguous().view(weight.shape)
        update(gradients, recipe.learning_rate)
        expected.step()
    packed.write()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    updated = copies(packed)
    for layer in layers:
        layer.read()
    for kept, read in zip(updated, copies(packed), strict=True):
        np.testing.assert_array_equal(kept[..., :12], read[..., :12])
