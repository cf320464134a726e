from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from fittingroom.training.compiled_step.network_pass import NetworkPass
from fittingroom.training.compiled_step.plan import plan
from fittingroom.training.compiled_step.weights import PackedWeights


def prepared(modules: Sequence[nn.Module]) -> tuple[PackedWeights, np.ndarray, NetworkPass]:
    layers = plan(modules, 28, 28)
    packed = PackedWeights(layers)
    packed.refresh()
    gradient = np.zeros(packed.size, np.float32)
    return packed, gradient, NetworkPass(layers, 3, packed, gradient)


def images() -> torch.Tensor:
    return torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(0))


TARGETS = np.eye(10, dtype=np.float32)[[1, 5, 5]]


def test_its_gradients_are_those_of_the_cross_entropy(modules: Sequence[nn.Module]) -> None:
    packed, gradient, way = prepared(modules)
    logits = way.forward(images().numpy(), [], 0)[:, :10]
    way.backward(TARGETS, 0.5)
    x = images()[:, None]
    for module in modules:
        if isinstance(module, nn.Linear) and x.ndim == 4:
            x = x.permute(0, 2, 3, 1).flatten(1)
        x = module(x)
    np.testing.assert_allclose(logits, x.detach().numpy(), rtol=1e-4, atol=1e-5)
    loss = 0.5 * F.cross_entropy(x, torch.from_numpy(TARGETS), reduction="sum")
    weights = [weight for module in modules for weight in module.parameters()]
    expected = torch.autograd.grad(loss, weights)
    parts = [part for layer in packed.layers if layer for part in layer.as_of_module(gradient)]
    for mine, theirs in zip(parts, expected, strict=True):
        np.testing.assert_allclose(mine.reshape(theirs.shape), theirs, rtol=1e-4, atol=1e-5)


def test_it_adds_to_the_gradient(modules: Sequence[nn.Module]) -> None:
    _, gradient, way = prepared(modules)
    logits = way.forward(images().numpy(), [], 0).copy()
    way.backward(TARGETS, 1.0)
    once = gradient.copy()
    assert once.any()
    np.testing.assert_array_equal(way.forward(images().numpy(), [], 0), logits)
    way.backward(TARGETS, 1.0)
    np.testing.assert_allclose(gradient, 2 * once, rtol=1e-4, atol=1e-5)
