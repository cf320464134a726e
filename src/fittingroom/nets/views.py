"""Prediction from several views of an image."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

#: Left, right, top and bottom: pixels that come in, or, where negative, go out.
_SHIFTS = ((1, -1, 1, -1), (-1, 1, -1, 1))


def mean_logits(
    logits: Callable[[Tensor], Tensor], x: Tensor, *, mirrored: bool, shifted: bool = False
) -> Tensor:
    """The mean of the logits of an image and of its views.

    Mirrored, an image is seen both ways. Shifted, it is seen in its place for one half, and moved
    by a pixel along the diagonal, there and back, for a quarter each, zeros coming in (Jordan 2024,
    arXiv 2404.00498, section 3.5).

    Parameters
    ----------
    logits : of images (batch, channels, height, width), (batch, classes)
    """

    def both_ways(x: Tensor) -> Tensor:
        return (logits(x) + logits(x.flip(-1))) / 2 if mirrored else logits(x)

    if not shifted:
        return both_ways(x)
    there, back = (both_ways(F.pad(x, shift)) for shift in _SHIFTS)
    return both_ways(x) / 2 + (there + back) / 4
