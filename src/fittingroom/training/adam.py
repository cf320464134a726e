"""Adam's arithmetic, for steps without autograd: Kingma and Ba 2015, algorithm 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fittingroom.kernels.compiled import compiled
from fittingroom.kernels.tensors import view
from fittingroom.training.optim import BETAS, EPSILON


class AdamAverages:
    """The averages of a number of weights' gradients, and of their squares."""

    def __init__(self, size: int) -> None:
        self._mean, self._square = torch.zeros(size), torch.zeros(size)
        self._steps = torch.zeros(1, dtype=torch.int64)
        self.vectors = view(self._mean), view(self._square)

    def next_step(self, rate: float) -> tuple[np.float32, np.float32]:
        """Count a step; the arguments ``rate`` and ``correction`` of ``adam`` in it."""
        self._steps += 1
        steps = int(self._steps)
        rate /= 1 - BETAS[0] ** steps
        return np.float32(rate), np.float32(1 / (1 - BETAS[1] ** steps))

    def state(self) -> dict[str, Tensor]:
        """The tensors, by name."""
        return {"mean": self._mean, "square": self._square, "steps": self._steps}


@compiled
def adam(gradient: Any, mean: Any, square: Any, change: Any, rate: Any, correction: Any) -> None:
    """Update Adam's averages, and write what is to be subtracted from the weights.

    ``rate`` is the learning rate over the first bias correction, ``correction`` 1 over the second.
    """
    for i in range(len(gradient)):
        mean[i] += np.float32(1 - BETAS[0]) * (gradient[i] - mean[i])
        square[i] += np.float32(1 - BETAS[1]) * (gradient[i] * gradient[i] - square[i])
        change[i] = rate * mean[i] / (np.sqrt(square[i] * correction) + np.float32(EPSILON))
