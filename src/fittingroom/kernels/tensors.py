"""Tensors as the arrays that kernels take."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def can_compile(x: Tensor) -> bool:
    """Whether the kernels take this tensor; an exported graph uses PyTorch's own operations."""
    if torch.compiler.is_exporting():
        return False
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)


def view(x: Tensor) -> np.ndarray[Any, Any]:
    """A tensor's memory as an array; maps (n, c, h, w) become (n, h, w, c), bfloat16 int16."""
    x = x.detach()
    if x.ndim == 4:  # no copy if it is channels-last already
        x = x.permute(0, 2, 3, 1)
    return (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy()


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
