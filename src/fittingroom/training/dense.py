"""A training step of a multilayer perceptron without autograd.

Its matrix products take tens of microseconds each. Autograd's overhead is about as long, that of an
optimiser that goes from tensor to tensor longer still. Here the backward pass is three lines per
layer, and a product adds its gradient in place. Rumelhart, Hinton and Williams 1986, "Learning
representations by back-propagating errors".
"""

from __future__ import annotations

from typing import Protocol, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.kernels.tensors import view
from fittingroom.nets.mlp import MLP
from fittingroom.training.augment import Mixture
from fittingroom.training.compiled_step.updates import adam
from fittingroom.training.optim import BETAS
from fittingroom.training.recipe import Recipe


def supports_dense_step(
    net: nn.Module, recipe: Recipe, precision: str, device: torch.device
) -> TypeGuard[MLP]:
    """Whether ``DenseStep`` can train this network: not a subclass, and with no frozen weights."""
    if type(net) is not MLP or not all(weight.requires_grad for weight in net.parameters()):
        return False
    plain = precision == "float32" and device.type == "cpu"
    return plain and not recipe.weight_decay and not recipe.nesterov


class DenseStep:
    """A training step of a multilayer perceptron, in float32 on the CPU, by plain SGD or Adam."""

    def __init__(self, net: MLP, recipe: Recipe) -> None:
        layers = [layer for layer in net.layers if isinstance(layer, nn.Linear)]
        self._layers = [(layer.weight.detach(), layer.bias.detach()) for layer in layers]
        self._update: _Update = (
            _Adam(self._layers)
            if recipe.optimizer == "adam"
            else _Descent(self._layers, recipe.momentum)
        )
        classes, smoothing = layers[-1].out_features, recipe.label_smoothing
        self._targets = torch.eye(classes) * (1 - smoothing) + smoothing / classes

    @torch.no_grad()
    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        learning_rate: float,
        mixture: Mixture | None = None,
    ) -> Tensor:
        """Logits (batch, classes) of images (batch, 1, height, width), before the update."""
        activations = [images.flatten(1)]  # the input (batch, width) of each layer
        for weight, bias in self._layers:
            if len(activations) > 1:
                activations[-1].relu_()
            activations.append(torch.addmm(bias, activations[-1], weight.t()))
        logits = activations.pop()
        targets = F.embedding(labels, self._targets)
        if mixture is not None:
            targets = mixture.of(targets)
        # The gradient of softmax and cross-entropy together: probabilities minus targets.
        delta = torch.softmax(logits, dim=1).sub_(targets)
        delta.div_(len(labels))
        for layer in reversed(range(len(self._layers))):
            delta_below = delta
            if layer:
                delta_below = torch.mm(delta, self._layers[layer][0])
                delta_below = torch.ops.aten.threshold_backward(delta_below, activations[layer], 0)
            self._update.take(layer, delta, activations[layer], learning_rate)
            delta = delta_below
        self._update.finish(learning_rate)
        return logits

    def state(self) -> dict[str, Tensor]:
        """The optimiser's state, by name."""
        return self._update.state()

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore what ``state`` returned."""
        for name, tensor in self._update.state().items():
            tensor.copy_(state[name])


class _Update(Protocol):
    def take(self, layer: int, delta: Tensor, activation: Tensor, rate: float) -> None:
        """Add a layer's gradient: delta' · activation for its weight, delta's sum for its bias."""

    def finish(self, rate: float) -> None:
        """Complete the step after all layers' gradients."""

    def state(self) -> dict[str, Tensor]: ...


class _Descent:
    """Gradient descent, with optional momentum."""

    def __init__(self, layers: list[tuple[Tensor, Tensor]], momentum: float) -> None:
        self._layers, self._momentum = layers, momentum
        self._velocities = [
            (torch.zeros_like(weight), torch.zeros_like(bias)) for weight, bias in layers
        ]

    def take(self, layer: int, delta: Tensor, activation: Tensor, rate: float) -> None:
        weight, bias = self._layers[layer]
        if not self._momentum:
            weight.addmm_(delta.t(), activation, alpha=-rate)
            bias.sub_(delta.sum(0), alpha=rate)
            return
        for_weight, for_bias = self._velocities[layer]
        for_weight.addmm_(delta.t(), activation, beta=self._momentum)
        for_bias.mul_(self._momentum).add_(delta.sum(0))
        weight.sub_(for_weight, alpha=rate)
        bias.sub_(for_bias, alpha=rate)

    def finish(self, rate: float) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        if not self._momentum:
            return {}
        return {
            f"{name}.{number}": velocity
            for number, velocities in enumerate(self._velocities)
            for name, velocity in zip(("weight", "bias"), velocities, strict=True)
        }


class _Adam:
    """Adam (Kingma and Ba 2015, algorithm 1), over all weights at once."""

    def __init__(self, layers: list[tuple[Tensor, Tensor]]) -> None:
        self._weights = [tensor for layer in layers for tensor in layer]
        size = sum(tensor.numel() for tensor in self._weights)
        self._gradient, self._change, self._mean, self._square = (
            torch.zeros(size) for _ in range(4)
        )
        self._arrays = [
            view(vector) for vector in (self._gradient, self._mean, self._square, self._change)
        ]
        self._gradients = self._split(self._gradient)
        self._changes = self._split(self._change)
        self._steps = torch.zeros(1, dtype=torch.int64)

    def take(self, layer: int, delta: Tensor, activation: Tensor, rate: float) -> None:
        torch.mm(delta.t(), activation, out=self._gradients[2 * layer])
        torch.sum(delta, 0, out=self._gradients[2 * layer + 1])

    def finish(self, rate: float) -> None:
        self._steps += 1
        steps = int(self._steps)
        rate /= 1 - BETAS[0] ** steps
        correction = 1 / (1 - BETAS[1] ** steps)
        gradient, mean, square, change = self._arrays
        adam(gradient, mean, square, change, np.float32(rate), np.float32(correction))
        torch._foreach_sub_(self._weights, self._changes)

    def state(self) -> dict[str, Tensor]:
        return {"mean": self._mean, "square": self._square, "steps": self._steps}

    def _split(self, vector: Tensor) -> list[Tensor]:
        """Views of a vector in the shapes of the weights."""
        chunks = torch.split(vector, [weight.numel() for weight in self._weights])
        return [chunk.view_as(weight) for chunk, weight in zip(chunks, self._weights, strict=True)]
