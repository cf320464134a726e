"""Bounds of a network's options, annotated in its signature.

A saved network's file names its options, and may come from an untrusted source. It may ask only for
what `bundles/options.py` reads in the signature, so every number and every sequence there needs a
bound; `bool`, `Literal` and None need none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Within:
    """The least and the greatest value of a number."""

    least: float
    greatest: float


@dataclass(frozen=True)
class Length:
    """The least and the greatest number of values in a sequence."""

    least: int
    greatest: int


#: The number of a layer's outputs.
Width = Annotated[int, Within(1, 16_384)]
#: The widths of layers, possibly none.
Widths = Annotated[Sequence[Width], Length(0, 32)]
#: A probability, such as a dropout rate.
Share = Annotated[float, Within(0, 1)]
