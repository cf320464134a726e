"""`Layer`: what a run records of each layer of its network; reading one doesn't need torch."""

from __future__ import annotations

from dataclasses import dataclass

from fittingroom.untrusted import STRICT


@dataclass(frozen=True)
class Layer:
    """A layer of a network.

    `output_shape` is that of one image, such as (channels, height, width); `parameters` is the
    layer's number of parameters, without batch norm's running statistics.
    """

    __pydantic_config__ = STRICT

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int

    @property
    def is_plausible(self) -> bool:
        """Whether it may be a layer: a record that was read from a file may hold anything."""
        return bool(self.output_shape) and min(self.output_shape) > 0 and self.parameters >= 0
