"""The compiled step, and which networks can have it."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import Tensor, nn

from fittingroom.kernels import capabilities
from fittingroom.kernels.random import draw_seed
from fittingroom.nets.cnn import CNN
from fittingroom.nets.dropout import Dropout
from fittingroom.training.compiled_step.plan import plan, supports
from fittingroom.training.compiled_step.threads import ThreadPasses
from fittingroom.training.compiled_step.updates import PackedAdam, PackedDescent
from fittingroom.training.direct_step import DirectStep, supports_direct_step
from fittingroom.training.recipe import Recipe

#: Multiplications of a step, forward and backward, above which matrix instructions (AMX) are faster
#: than these kernels. Estimated from both rates, not measured.
LARGE = 2**29


def supports_compiled_step(
    net: nn.Module, recipe: Recipe, precision: str, device: torch.device
) -> TypeGuard[CNN]:
    """Whether ``CompiledStep`` can train this network: not a subclass, with no frozen weights.

    Without AVX-512 PyTorch's own products are as fast.
    """
    if type(net) is not CNN or not supports_direct_step(net, recipe, device):
        return False
    if not capabilities.has_wide_vectors():
        return False
    if precision == "bfloat16" and not capabilities.multiplies_pairs():
        return False
    contiguous = all(weight.is_contiguous() for weight in net.parameters())
    modules = _modules(net)
    return contiguous and all(map(supports, modules, [None, *modules]))


def is_small(net: CNN, recipe: Recipe, image_shape: tuple[int, int]) -> bool:
    """Whether a step is faster by ``CompiledStep`` than by PyTorch with matrix instructions."""
    sides = image_shape if net.resize is None else (net.resize.side, net.resize.side)
    of_image = sum(layer.multiplications for layer in plan(_modules(net), *sides))
    return recipe.batch_size * of_image <= LARGE


def _modules(net: CNN) -> list[nn.Module]:
    return [*net.features, *net.classifier]


class CompiledStep(DirectStep):
    """A training step of a convolutional network, on the CPU, by plain SGD or Adam.

    Parameters
    ----------
    net : one that ``supports_compiled_step`` accepts
    recipe : specifies the optimiser and the loss
    number_format : ``"float32"``, or ``"bfloat16"`` for the factors of convolutions
    """

    def __init__(self, net: CNN, recipe: Recipe, number_format: str = "float32") -> None:
        self._net, self._half = net, number_format == "bfloat16"
        self._modules = _modules(net)
        self._dropouts = sum(isinstance(module, Dropout) for module in self._modules)
        weights = list(net.parameters())
        self._update: PackedAdam | PackedDescent = (
            PackedAdam(weights)
            if recipe.optimizer == "adam"
            else PackedDescent(weights, recipe.momentum)
        )
        self._threads: ThreadPasses | None = None  # made for the size of the first images
        n_classes = len(weights[-1])  # the last layer's bias
        super().__init__(n_classes, recipe, self._update.state())

    def _train(self, images: Tensor, targets: Tensor, learning_rate: float) -> Tensor:
        if self._net.resize is not None:
            images = self._net.resize(images)
        if self._threads is None or self._threads.n != torch.get_num_threads():
            height, width = images.shape[2:]
            self._threads = ThreadPasses(plan(self._modules, height, width, half=self._half))
        seeds = [int(draw_seed()) for _ in range(self._dropouts)]
        logits = self._threads.gradients(images[:, 0].numpy(), targets.numpy(), seeds)
        self._update(self._threads.packed, self._threads.sums, learning_rate)
        return logits
