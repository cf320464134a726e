"""Updates of packed weights by Adam or gradient descent: one compiled pass over vectors.

An optimiser that goes from tensor to tensor takes longer than its arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fittingroom.kernels.compiled import compiled, compiled_within, in_parts
from fittingroom.kernels.tensors import view
from fittingroom.training.adam import AdamAverages, adam
from fittingroom.training.compiled_step.arrays import Array
from fittingroom.training.compiled_step.weights import PackedWeights

#: Passes over memory that take as long as an element's update.
WORK = 4
#: Elements updated at once: what is between their arithmetic stays in the cache.
TOGETHER = 1024
#: Shares into which each layer's rows are divided, which threads then divide among them.
SHARES = 64


class PackedAdam:
    """Adam (Kingma and Ba 2015, algorithm 1) for packed weights."""

    def __init__(self, packed: PackedWeights) -> None:
        self._packed = packed
        self._averages = AdamAverages(packed.size)

    def __call__(self, gradients: Array, rate: float) -> None:
        """Update the weights by threads' gradients (threads, size)."""
        numbers = self._averages.next_step(rate)
        mean, square = self._averages.vectors

        def update(some: slice) -> None:
            of_some = self._packed.vector[some], gradients[:, some], mean[some], square[some]
            _update_by_adam(*of_some, *numbers)

        _update_all(self._packed, update)

    def state(self) -> dict[str, Tensor]:
        """The averages, by name."""
        return self._averages.state()


class PackedDescent:
    """Gradient descent, with optional momentum, for packed weights."""

    def __init__(self, packed: PackedWeights, momentum: float) -> None:
        self._packed, self._momentum = packed, np.float32(momentum)
        self._velocity = torch.zeros(packed.size if momentum else 0)

    def __call__(self, gradients: Array, rate: float) -> None:
        """As that of ``PackedAdam``."""
        velocity = view(self._velocity)
        numbers = np.float32(rate), self._momentum

        def update(some: slice) -> None:
            of_some = self._packed.vector[some], gradients[:, some], velocity[some]
            _update_by_descent(*of_some, *numbers)

        _update_all(self._packed, update)

    def state(self) -> dict[str, Tensor]:
        """The velocity of all weights, if there is momentum."""
        return {"velocity": self._velocity} if self._momentum else {}


def _update_all(packed: PackedWeights, update: Callable[[slice], None]) -> None:
    """Call ``update`` for all elements, and bring the copies up to date."""

    def update_shares(start: int, stop: int, part: int) -> None:
        for layer in filter(None, packed.layers):
            pairs = -(-layer.n_rows // 2)
            bounds = (2 * (pairs * share // SHARES) for share in (start, stop))
            first, last = (min(bound, layer.n_rows) for bound in bounds)
            update(layer.elements(first, last))
            layer.copy(first, last)

    in_parts(update_shares, SHARES, WORK * packed.size)


@compiled
def _update_by_adam(
    weights: Any, gradients: Any, mean: Any, square: Any, rate: Any, correction: Any
) -> None:
    change = np.empty(TOGETHER, np.float32)
    for first in range(0, len(weights), TOGETHER):
        some = slice(first, min(first + TOGETHER, len(weights)))
        gradient = _added_up(gradients[:, some])
        adam(gradient, mean[some], square[some], change, rate, correction)
        _subtract(weights[some], change)


@compiled
def _update_by_descent(
    weights: Any, gradients: Any, velocity: Any, rate: Any, momentum: Any
) -> None:
    change = np.empty(TOGETHER, np.float32)
    for first in range(0, len(weights), TOGETHER):
        some = slice(first, min(first + TOGETHER, len(weights)))
        gradient = _added_up(gradients[:, some])
        if len(velocity):
            _accelerate(velocity[some], gradient, momentum)
        for i in range(len(gradient)):
            change[i] = rate * gradient[i]
        _subtract(weights[some], change)


# In each of these loops all arrays have the same index, or it isn't vectorised.


@compiled_within
def _added_up(gradients: Any) -> Any:
    """The sum of all threads' gradients."""
    total = gradients[0].copy()
    for part in range(1, len(gradients)):
        other = gradients[part]
        for i in range(len(total)):
            total[i] += other[i]
    return total


@compiled_within
def _accelerate(velocity: Any, gradient: Any, momentum: Any) -> None:
    """Add a gradient to the velocity, and make it the velocity."""
    for i in range(len(gradient)):
        velocity[i] = momentum * velocity[i] + gradient[i]
        gradient[i] = velocity[i]


@compiled_within
def _subtract(weights: Any, change: Any) -> None:
    for i in range(len(weights)):
        weights[i] -= change[i]
