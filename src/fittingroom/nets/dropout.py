"""Dropout with fast random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.errors import InputError
from fittingroom.kernels.compiled import as_stored, compiled, in_parts
from fittingroom.kernels.random import LEVELS, draw_seed, keep_threshold, random_bits
from fittingroom.kernels.tensors import can_compile, view


class Dropout(nn.Module):
    """Zero each element with probability ``rate`` and scale the others up (Srivastava 2014).

    On the CPU, PyTorch draws random numbers one after the other, which takes up to half of the
    training time.

    Parameters
    ----------
    rate : probability of being dropped, 0 to below 1, rounded to a multiple of 1 / 2³²

    Raises
    ------
    InputError : the rate is out of range
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise InputError(f"the dropout rate must be at least 0 and below 1, not {rate}.")
        self.rate = rate

    def extra_repr(self) -> str:
        return f"rate={self.rate}"

    def forward(self, x: Tensor) -> Tensor:
        """The same shape; the input itself in eval mode or if nothing is dropped."""
        if not self.training or self.rate * LEVELS < 1:
            return x
        if can_compile(x):
            y: Tensor = _Dropout.apply(x, self.rate)  # type: ignore[no-untyped-call]
            return y
        return F.dropout(x, self.rate)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        # Each element's factor, 0 if dropped; it multiplies the gradient, too.
        ctx.factors = torch.empty_like(x)  # in x's memory layout, without gaps
        flat = view(ctx.factors.as_strided((x.numel(),), (1,)))
        factor = np.float32(1 / (1 - rate))
        in_parts(draw, x.numel(), x.numel(), flat, draw_seed(), keep_threshold(rate), factor)
        y: Tensor = x * ctx.factors
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factors, None


@compiled
def draw(
    start: int, stop: int, part: int, factors: Any, seed: Any, levels: Any, factor: Any
) -> None:
    for i in range(start, stop):
        kept = random_bits(seed, i) < levels
        factors[i] = as_stored(factor if kept else np.float32(0), factors[i])
