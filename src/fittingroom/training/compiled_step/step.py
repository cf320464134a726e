"""The compiled step, and which networks can have it."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, nn

from fittingroom.kernels import capabilities
from fittingroom.kernels.random import draw_seed
from fittingroom.nets.cnn import CNN
from fittingroom.nets.dropout import Dropout
from fittingroom.nets.mlp import MLP
from fittingroom.training.compiled_step.plan import PlannedLayer, plan, supports
from fittingroom.training.compiled_step.threads import ThreadPasses
from fittingroom.training.compiled_step.updates import PackedAdam, PackedDescent
from fittingroom.training.compiled_step.weights import PackedWeights
from fittingroom.training.direct_step import DirectStep, supports_direct_step
from fittingroom.training.recipe import Recipe

#: Multiplications of a step, forward and backward, above which matrix instructions (AMX) are faster
#: than these kernels. Estimated from both rates, not measured.
LARGE = 2**29


def supports_compiled_step(
    net: nn.Module, recipe: Recipe, precision: str, device: torch.device
) -> TypeGuard[CNN | MLP]:
    """Whether ``CompiledStep`` can train this network: not a subclass, with no frozen weights.

    Without AVX-512 PyTorch's own products are as fast.
    """
    if type(net) is not CNN and type(net) is not MLP:
        return False
    if not supports_direct_step(net, recipe, device):
        return False
    if not capabilities.has_wide_vectors():
        return False
    if precision == "bfloat16" and not capabilities.multiplies_pairs():
        return False
    contiguous = all(weight.is_contiguous() for weight in net.parameters())
    modules = _modules(net)
    return contiguous and all(map(supports, modules, [None, *modules]))


def prefers_bfloat16(
    net: nn.Module, recipe: Recipe, device: torch.device, image_shape: tuple[int, int]
) -> bool:
    """Whether ``CompiledStep`` can train this network, and multiplies bfloat16 somewhere."""
    if not supports_compiled_step(net, recipe, "bfloat16", device):
        return False
    return any(layer.paired for layer in _plan(net, image_shape, half=True))


def is_small(net: CNN | MLP, recipe: Recipe, image_shape: tuple[int, int]) -> bool:
    """Whether a step is faster by ``CompiledStep`` than by PyTorch with matrix instructions."""
    of_image = sum(layer.multiplications for layer in _plan(net, image_shape))
    return recipe.batch_size * of_image <= LARGE


def _modules(net: CNN | MLP) -> list[nn.Module]:
    return [*net.features, *net.classifier] if isinstance(net, CNN) else [*net.layers]


def _plan(
    net: CNN | MLP, image_shape: tuple[int, int], *, half: bool = False
) -> list[PlannedLayer]:
    if isinstance(net, CNN) and net.resize is not None:
        image_shape = net.resize.side, net.resize.side
    return plan(_modules(net), *image_shape, half=half)


class CompiledStep(DirectStep):
    """A training step of a convolutional network or a perceptron, on the CPU, by plain SGD or Adam.

    Parameters
    ----------
    net : one that ``supports_compiled_step`` accepts
    recipe : specifies the optimiser and the loss
    number_format : ``"float32"``, or ``"bfloat16"`` for what convolutions and dense layers multiply
    image_shape : (height, width), before the network resizes them
    """

    def __init__(
        self,
        net: CNN | MLP,
        recipe: Recipe,
        number_format: str = "float32",
        image_shape: tuple[int, int] = (28, 28),
    ) -> None:
        self._resize = net.resize if isinstance(net, CNN) else None
        self._layers = _plan(net, image_shape, half=number_format == "bfloat16")
        self._dropouts = sum(isinstance(layer.module, Dropout) for layer in self._layers)
        self._weights = PackedWeights(self._layers)
        self._update: PackedAdam | PackedDescent = (
            PackedAdam(self._weights)
            if recipe.optimizer == "adam"
            else PackedDescent(self._weights, recipe.momentum)
        )
        self._threads = ThreadPasses(self._layers, self._weights)
        super().__init__(self._layers[-1].output.channels, recipe, self._update.state())

    def _train(self, images: Tensor, targets: Tensor, learning_rate: float) -> Tensor:
        if self._resize is not None:
            images = self._resize(images)
        if self._threads.n != torch.get_num_threads():
            self._threads = ThreadPasses(self._layers, self._weights)
        seeds = [int(draw_seed()) for _ in range(self._dropouts)]
        logits = self._threads.gradients(images[:, 0].numpy(), targets.numpy(), seeds)
        self._update(self._threads.sums, learning_rate)
        return logits

    def write_weights(self) -> None:
        self._weights.write()
