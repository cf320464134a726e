"""The layers of a network of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fittingroom.errors import UnknownNameError
from fittingroom.models.layer import Layer
from fittingroom.models.network import NETS, count_parameters


def layers_of(
    net: str, options: Mapping[str, Any], image_shape: tuple[int, int], n_classes: int
) -> tuple[Layer, ...]:
    """The layers of a network in order of execution, found by passing a black image through it.

    Raises
    ------
    UnknownNameError : there is no network with that name
    InputError : the images are too small for it
    """
    if net not in NETS:
        raise UnknownNameError("network", net, NETS)
    with torch.random.fork_rng(devices=[]):
        module = NETS[net](image_shape, n_classes, **options)
    return layers_in(module, image_shape)


def layers_in(module: nn.Module, image_shape: tuple[int, int]) -> tuple[Layer, ...]:
    """The layers of a network on the CPU, which is left in evaluation mode."""
    seen: dict[str, Layer] = {}

    def note(name: str, layer: nn.Module) -> Any:
        def hook(_: nn.Module, __: Any, output: Tensor) -> None:
            # Only the first of several views of an image.
            shape = tuple(output.shape[1:])
            seen.setdefault(name, Layer(name, type(layer).__name__, shape, count_parameters(layer)))

        return layer.register_forward_hook(hook)

    for name, layer in module.named_modules():
        if name and not list(layer.children()):
            note(name, layer)
    with torch.inference_mode():
        module.eval()(torch.zeros(1, 1, *image_shape))
    return tuple(layer for layer in seen.values() if layer.kind != "Identity")
