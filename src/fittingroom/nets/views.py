"""Test-time augmentation: prediction from several views of an image."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

#: Padding at the left, right, top and bottom; negative values crop.
_SHIFTS = ((1, -1, 1, -1), (-1, 1, -1, 1))


def count_views(*, mirrored: bool, shifted: bool = False) -> int:
    """How many views of an image :func:`mean_logits` passes through the network."""
    return (1 + mirrored) * (1 + len(_SHIFTS) * shifted)


def mean_logits(
    logits: Callable[[Tensor], Tensor], x: Tensor, *, mirrored: bool, shifted: bool = False
) -> Tensor:
    """The mean of an image's logits over several views.

    With `mirrored` each view is also seen as its mirror image. With `shifted` the unshifted image
    has weight 1/2, and shifts by one pixel along the diagonal, in either direction, 1/4 each,
    padded with zeros (Jordan 2024, arXiv 2404.00498, section 3.5).

    Parameters
    ----------
    logits : maps images (batch, channels, height, width) to logits (batch, classes)
    """

    def both_ways(x: Tensor) -> Tensor:
        return (logits(x) + logits(x.flip(-1))) / 2 if mirrored else logits(x)

    if not shifted:
        return both_ways(x)
    first, second = (both_ways(F.pad(x, shift)) for shift in _SHIFTS)
    return both_ways(x) / 2 + (first + second) / 4
