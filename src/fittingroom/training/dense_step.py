"""A training step of a multilayer perceptron without autograd.

Its matrix products take tens of microseconds each. Autograd's overhead is about as long, that of an
optimiser that goes from tensor to tensor longer still. Here the backward pass is three lines per
layer, and a product adds its gradient in place. Rumelhart, Hinton and Williams 1986, "Learning
representations by back-propagating errors".
"""

from __future__ import annotations

from typing import Protocol, TypeGuard

import torch
from torch import Tensor, nn

from fittingroom.kernels.tensors import view
from fittingroom.nets.mlp import MLP
from fittingroom.training.adam import AdamAverages, adam
from fittingroom.training.direct_step import DirectStep, supports_direct_step
from fittingroom.training.recipe import Recipe


def supports_dense_step(
    net: nn.Module, recipe: Recipe, precision: str, device: torch.device
) -> TypeGuard[MLP]:
    """Whether ``DenseStep`` can train this network: not a subclass, and with no frozen weights."""
    plain = type(net) is MLP and precision == "float32"
    return plain and supports_direct_step(net, recipe, device)


class DenseStep(DirectStep):
    """A training step of a multilayer perceptron, in float32 on the CPU, by plain SGD or Adam."""

    def __init__(self, net: MLP, recipe: Recipe) -> None:
        layers = [layer for layer in net.layers if isinstance(layer, nn.Linear)]
        self._layers = [(layer.weight.detach(), layer.bias.detach()) for layer in layers]
        self._update: _Update = (
            _Adam(self._layers)
            if recipe.optimizer == "adam"
            else _Descent(self._layers, recipe.momentum)
        )
        super().__init__(layers[-1].out_features, recipe, self._update.state())

    def _train(self, images: Tensor, targets: Tensor, learning_rate: float) -> Tensor:
        activations = [images.flatten(1)]  # the input (batch, width) of each layer
        for weight, bias in self._layers:
            if len(activations) > 1:
                activations[-1].relu_()
            activations.append(torch.addmm(bias, activations[-1], weight.t()))
        logits = activations.pop()
        # The gradient of softmax and cross-entropy together: probabilities minus targets.
        delta = torch.softmax(logits, dim=1).sub_(targets)
        delta.div_(len(images))
        for layer in reversed(range(len(self._layers))):
            delta_below = delta
            if layer:
                delta_below = torch.mm(delta, self._layers[layer][0])
                delta_below = torch.ops.aten.threshold_backward(delta_below, activations[layer], 0)
            self._update.take(layer, delta, activations[layer], learning_rate)
            delta = delta_below
        self._update.finish(learning_rate)
        return logits

    def write_weights(self) -> None:
        """Each step has written them."""


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
        self._gradient, self._change = torch.zeros(size), torch.zeros(size)
        self._averages = AdamAverages(size)
        self._gradients = self._split(self._gradient)
        self._changes = self._split(self._change)

    def take(self, layer: int, delta: Tensor, activation: Tensor, rate: float) -> None:
        torch.mm(delta.t(), activation, out=self._gradients[2 * layer])
        torch.sum(delta, 0, out=self._gradients[2 * layer + 1])

    def finish(self, rate: float) -> None:
        arrays = view(self._gradient), *self._averages.vectors, view(self._change)
        adam(*arrays, *self._averages.next_step(rate))
        torch._foreach_sub_(self._weights, self._changes)

    def state(self) -> dict[str, Tensor]:
        return self._averages.state()

    def _split(self, vector: Tensor) -> list[Tensor]:
        """Views of a vector in the shapes of the weights."""
        chunks = torch.split(vector, [weight.numel() for weight in self._weights])
        return [chunk.view_as(weight) for chunk, weight in zip(chunks, self._weights, strict=True)]
