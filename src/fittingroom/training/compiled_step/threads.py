"""Each thread's share of a step: its images' way through the network and back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fittingroom.kernels.compiled import count_parts, in_parts
from fittingroom.training.compiled_step.arrays import Array, zeros
from fittingroom.training.compiled_step.network_pass import NetworkPass
from fittingroom.training.compiled_step.plan import PlannedLayer
from fittingroom.training.compiled_step.weights import PackedWeights

#: Images that a thread takes through the network at once: their maps stay in its cache.
TOGETHER = 32
#: Multiplications that take as long as a pass over an element in memory.
PRODUCTS = 32


class ThreadPasses:
    """The passes of PyTorch's number of threads, and the gradients that each of them sums."""

    def __init__(self, layers: Sequence[PlannedLayer], packed: PackedWeights) -> None:
        self._layers, self._packed = layers, packed
        self.n = torch.get_num_threads()
        self._gradients = zeros(self.n, self._packed.size)
        self._used = self.n
        self._passes: dict[tuple[int, int], NetworkPass] = {}
        self._work = sum(layer.multiplications for layer in layers)

    @property
    def sums(self) -> Array:
        """The gradients of the threads that had images (threads, packed size)."""
        return self._gradients[: self._used]

    def gradients(self, images: Array, targets: Array, seeds: Sequence[int]) -> Tensor:
        """Logits (n, classes) of images (n, height, width); the gradients are in ``sums``.

        They are those of the mean cross-entropy to targets (n, classes). ``seeds`` are those of
        the dropout layers.
        """
        self._packed.refresh()
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
            way = self._pass(part, last - first)
            of_pass = way.forward(images[first:last], seeds, first)
            logits[first:last] = of_pass[:, : logits.shape[1]]
            way.backward(targets[first:last], 1 / len(images))

    def _pass(self, part: int, n: int) -> NetworkPass:
        if (part, n) not in self._passes:
            gradient = self._gradients[part]
            self._passes[part, n] = NetworkPass(self._layers, n, self._packed, gradient)
        return self._passes[part, n]
