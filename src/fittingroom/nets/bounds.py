"""Bounds of a network's options, which stand beside their types in its signature.

A saved network names its options, and a stranger may have written that file. What
`bundles/options.py` reads in a signature is all that such a file may ask for, so every number and
every sequence there needs a bound; `bool`, `Literal` and None need none.
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


#: Outputs of a layer.
Width = Annotated[int, Within(1, 16_384)]
#: Of layers that may be left out altogether.
Widths = Annotated[Sequence[Width], Length(0, 32)]
#: A probability, such as a rate of dropout.
Share = Annotated[float, Within(0, 1)]
