"""The device, number format and number of threads of training. Predictions are always float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from fittingroom.errors import UsageError
from fittingroom.kernels import capabilities
from fittingroom.training.recipe import PrecisionName

#: Multiplications in a forward pass below which a second thread costs more than it saves.
SMALL_STEP = 2**25


def resolve_device(name: str) -> torch.device:
    """The device with that name; ``"auto"`` is a GPU if there is one.

    Raises
    ------
    UsageError : the device isn't available
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(
            f"device {name!r} isn't available here; use device='auto' or 'cpu'."
        ) from None
    return device


def resolve(precision: PrecisionName, net: nn.Module, device: torch.device) -> str:
    """``"float32"`` or ``"bfloat16"``; ``"auto"`` is bfloat16 only where that is faster.

    That is for convolutions on a GPU or on a processor with instructions for bfloat16 (AMX or
    AVX-512 BF16). Networks of small dense layers spend more on casting than multiplication saves.
    """
    if precision != "auto":
        return precision
    return "bfloat16" if convolves(net) and multiplies_bfloat16(device) else "float32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context for the forward pass."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def threads(net: nn.Module, batch_size: int) -> Iterator[None]:
    """One thread for small dense networks, and an unchanged number for all others.

    A step of a small dense network takes about a millisecond, most of it between kernels; if
    another process keeps a core busy, threads waiting for each other make it a hundred times
    slower.
    """
    before = torch.get_num_threads()
    multiplications = batch_size * sum(weight.numel() for weight in net.parameters())
    if not convolves(net) and multiplications < SMALL_STEP:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def convolves(net: nn.Module) -> bool:
    """Whether a network has convolutions."""
    return any(isinstance(module, nn.Conv2d) for module in net.modules())


def multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return capabilities.multiplies_bfloat16()
    return False
