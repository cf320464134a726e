"""Updates of weights in compiled kernels, of all weights in one pass, by Adam or gradient descent.

An optimiser that goes from tensor to tensor takes longer than its arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fittingroom.kernels.compiled import as_stored, compiled, compiled_within, in_parts
from fittingroom.kernels.tensors import view
from fittingroom.training.adam import AdamAverages, adam
from fittingroom.training.compiled_step.arrays import Array
from fittingroom.training.compiled_step.weights import PackedWeights

#: Passes over memory that take as long as an element's update.
WORK = 8


class PackedAdam:
    """Adam (Kingma and Ba 2015, algorithm 1) for packed weights."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._update = _Elementwise(weights)
        self._averages = AdamAverages(self._update.n)

    def __call__(self, packed: PackedWeights, gradients: Array, rate: float) -> None:
        """Update a network's weights, packed or not, by threads' gradients (threads, size)."""
        numbers = self._averages.next_step(rate)
        self._update(_update_by_adam, packed, gradients, self._averages.vectors, *numbers)

    def state(self) -> dict[str, Tensor]:
        """The averages, by name."""
        return self._averages.state()


class PackedDescent:
    """Gradient descent, with optional momentum, for packed weights."""

    def __init__(self, weights: Sequence[Tensor], momentum: float) -> None:
        self._update = _Elementwise(weights)
        self._momentum = momentum
        self._velocity = torch.zeros(self._update.n)

    def __call__(self, packed: PackedWeights, gradients: Array, rate: float) -> None:
        """As that of ``PackedAdam``."""
        self._update(
            *(_update_by_descent, packed, gradients, (view(self._velocity),)),
            *(np.float32(rate), np.float32(self._momentum)),
        )

    def state(self) -> dict[str, Tensor]:
        """The velocity of all weights, if there is momentum."""
        return {"velocity": self._velocity} if self._momentum else {}


class _Elementwise:
    """Calls a kernel for the weights, each thread for its share of all elements."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._weights = [view(weight.detach().view(-1)) for weight in weights]
        self._ends = np.cumsum([len(weight) for weight in self._weights]).tolist()
        self.n: int = self._ends[-1]  # elements

    def __call__(
        self,
        kernel: Any,
        packed: PackedWeights,
        gradients: Array,
        vectors: Sequence[Array],
        *numbers: Any,
    ) -> None:
        """Call ``kernel(weight, places, packed vectors, gradients, *vectors, *numbers)``.

        Weights, places and vectors are those of the elements to be updated.
        """

        def update(start: int, stop: int, part: int) -> None:
            begin = 0
            weights = zip(self._weights, packed.positions, self._ends, strict=True)
            for weight, positions, end in weights:
                first, last = max(start, begin), min(stop, end)
                if first < last:
                    mine = slice(first - begin, last - begin)
                    kernel(
                        weight[mine],
                        tuple(places[mine] for places in positions[:3]),
                        packed.vectors(positions),
                        gradients,
                        *(vector[first:last] for vector in vectors),
                        *numbers,
                    )
                begin = end

        in_parts(update, self.n, WORK * self.n)


@compiled
def _update_by_adam(
    weight: Any,
    places: Any,
    packed: Any,
    gradients: Any,
    mean: Any,
    square: Any,
    rate: Any,
    correction: Any,
) -> None:
    gradient = _gathered(gradients, places[0])
    change = np.empty(len(weight), np.float32)
    adam(gradient, mean, square, change, rate, correction)
    _subtract(weight, change, places, packed)


@compiled
def _update_by_descent(
    weight: Any,
    places: Any,
    packed: Any,
    gradients: Any,
    velocity: Any,
    rate: Any,
    momentum: Any,
) -> None:
    change = _gathered(gradients, places[0])
    for i in range(len(change)):
        velocity[i] = momentum * velocity[i] + change[i]
        change[i] = rate * velocity[i]
    _subtract(weight, change, places, packed)


@compiled_within
def _gathered(gradients: Any, places: Any) -> Any:
    """The sum of all threads' gradients at these places."""
    gathered = np.empty(len(places), np.float32)
    for i in range(len(places)):
        gathered[i] = gradients[0, places[i]]
    for part in range(1, len(gradients)):
        for i in range(len(places)):
            gathered[i] += gradients[part, places[i]]
    return gathered


@compiled_within
def _subtract(weight: Any, change: Any, places: Any, packed: Any) -> None:
    _, for_forward, for_backward = places
    forward, backward = packed
    for i in range(len(weight)):
        value = weight[i] - change[i]
        weight[i] = value
        forward[for_forward[i]] = as_stored(value, forward[0])
        backward[for_backward[i]] = as_stored(value, backward[0])
