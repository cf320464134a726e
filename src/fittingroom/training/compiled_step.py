"""A training step of a small convolutional network in compiled kernels, without autograd.

A step of 32 images takes a few milliseconds, of which a framework spends half between its
operations: it records them for the backward pass, wakes its threads for every one of them and lets
them wait for each other. Here each thread takes its part of the images all the way forward and
backward, and they meet once, to add up their gradients and update the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.kernels import capabilities
from fittingroom.kernels.compiled import count_parts, in_parts
from fittingroom.kernels.random import draw_seed
from fittingroom.nets.cnn import CNN
from fittingroom.nets.convolution import Convolution
from fittingroom.nets.dropout import Dropout
from fittingroom.training.augment import Mixture
from fittingroom.training.layers import Array, Packed, Pass, chain, supports, zeros
from fittingroom.training.recipe import Recipe
from fittingroom.training.updates import PackedAdam, PackedDescent

#: Images that a thread takes through the network at once: their maps stay in its cache.
TOGETHER = 32
#: Multiplications that take as long as a pass over an element in memory.
PRODUCTS = 32
#: Multiplications of a step, forward and backward, above which matrix instructions (AMX) are faster
#: than these kernels. Estimated from both rates, not measured.
LARGE = 2**29


def supports_compiled_step(
    net: nn.Module, recipe: Recipe, precision: str, device: torch.device
) -> TypeGuard[CNN]:
    """Whether ``CompiledStep`` can train this network: not a subclass, with no frozen weights.

    Without AVX-512 PyTorch's own products are as fast.
    """
    if type(net) is not CNN or recipe.weight_decay or recipe.nesterov:
        return False
    if device.type != "cpu" or not capabilities.has_wide_vectors():
        return False
    if precision == "bfloat16" and not capabilities.multiplies_pairs():
        return False
    trainable = all(w.requires_grad and w.is_contiguous() for w in net.parameters())
    modules = _modules(net)
    return trainable and all(map(supports, modules, [None, *modules]))


def multiplies_pairs(net: nn.Module, recipe: Recipe, device: torch.device) -> bool:
    """Whether ``CompiledStep`` trains this network's convolutions fastest in bfloat16."""
    if not supports_compiled_step(net, recipe, "bfloat16", device):
        return False
    return any(isinstance(module, Convolution) for module in net.features)


def is_small(net: CNN, recipe: Recipe, image_shape: tuple[int, int]) -> bool:
    """Whether a step is faster by ``CompiledStep`` than by PyTorch with matrix instructions."""
    sides = image_shape if net.resize is None else (net.resize.side, net.resize.side)
    of_image = sum(layer.multiplications for layer in chain(_modules(net), *sides))
    return recipe.batch_size * of_image <= LARGE


def _modules(net: CNN) -> list[nn.Module]:
    return [*net.features, *net.classifier]


class CompiledStep:
    """A training step of a convolutional network, on the CPU, by plain SGD or Adam.

    Parameters
    ----------
    net : one that ``supports_compiled_step`` accepts
    recipe : specifies the optimiser and the loss
    number_format : ``"float32"``, or ``"bfloat16"`` for the factors of convolutions
    """

    def __init__(self, net: CNN, recipe: Recipe, number_format: str = "float32") -> None:
        self._net, self._half = net, number_format == "bfloat16"
        self._dropouts = sum(isinstance(module, Dropout) for module in _modules(net))
        weights = list(net.parameters())
        self._update: PackedAdam | PackedDescent = (
            PackedAdam(weights)
            if recipe.optimizer == "adam"
            else PackedDescent(weights, recipe.momentum)
        )
        classes, smoothing = len(weights[-1]), recipe.label_smoothing  # the last layer's bias
        self._targets = torch.eye(classes) * (1 - smoothing) + smoothing / classes
        self._threads: _Threads | None = None  # made for the size of the first images

    @torch.no_grad()
    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        learning_rate: float,
        mixture: Mixture | None = None,
    ) -> Tensor:
        """Logits (batch, classes) of images (batch, 1, height, width), before the update."""
        targets = F.embedding(labels, self._targets)
        if mixture is not None:
            targets = mixture.of(targets)
        if self._net.resize is not None:
            images = self._net.resize(images)
        if self._threads is None or self._threads.n != torch.get_num_threads():
            self._threads = _Threads(self._net, *images.shape[2:], half=self._half)
        seeds = [int(draw_seed()) for _ in range(self._dropouts)]
        logits = self._threads.gradients(images[:, 0].numpy(), targets.numpy(), seeds)
        self._update(self._threads.packed, self._threads.sums, learning_rate)
        return logits

    def state(self) -> dict[str, Tensor]:
        """The optimiser's state, by name."""
        return self._update.state()

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore what ``state`` returned."""
        for name, tensor in self._update.state().items():
            tensor.copy_(state[name])


class _Threads:
    """The passes of each thread, and the gradients that they sum."""

    def __init__(self, net: CNN, height: int, width: int, *, half: bool) -> None:
        self._layers = chain(_modules(net), height, width, half=half)
        self.packed = Packed(self._layers)
        self._versions: list[int] = []
        self.n = torch.get_num_threads()
        self._gradients = zeros(self.n, self.packed.size)
        self._used = self.n
        self._passes: dict[tuple[int, int], Pass] = {}
        self._work = sum(layer.multiplications for layer in self._layers)

    @property
    def sums(self) -> Array:
        """The gradients of the threads that had images (threads, packed size)."""
        return self._gradients[: self._used]

    def gradients(self, images: Array, targets: Array, seeds: Sequence[int]) -> Tensor:
        """Logits (n, classes) of images (n, height, width); the gradients are in ``sums``."""
        # The update keeps the packed weights; anything else that changes weights counts a version.
        versions = [weight._version for weight in self.packed.weights]
        if versions != self._versions:
            self.packed.fill()
            self._versions = versions
        n = len(images)
        elements = n * self._work // PRODUCTS
        self._used = count_parts(n, elements)
        logits = torch.empty(targets.shape)
        in_parts(self._train, n, elements, images, targets, seeds, logits.numpy())
        return logits

    def _train(
        self,
        start: int,
        stop: int,
        part: int,
        images: Array,
        targets: Array,
        seeds: Sequence[int],
        logits: Array,
    ) -> None:
        """Take a thread's images forward and backward."""
        self._gradients[part] = 0
        for first in range(start, stop, TOGETHER):
            last = min(first + TOGETHER, stop)
            run = self._pass(part, last - first)
            of_pass = run.forward(images[first:last], seeds, first)
            logits[first:last] = of_pass[:, : logits.shape[1]]
            run.backward(targets[first:last], 1 / len(images))

    def _pass(self, part: int, n: int) -> Pass:
        if (part, n) not in self._passes:
            self._passes[part, n] = Pass(self._layers, n, self.packed, self._gradients[part])
        return self._passes[part, n]
