"""The values between two layers, and the slopes of the loss with respect to them."""

from __future__ import annotations

from fittingroom.kernels.products import padded
from fittingroom.training.compiled_step.arrays import Array, zeros
from fittingroom.training.compiled_step.plan import MapShape


class Maps:
    """The maps of n images, forward and backward.

    Parameters
    ----------
    n : images
    shape : of an image's maps
    trained : whether the layers before have weights; otherwise nobody needs slopes
    """

    def __init__(self, n: int, shape: MapShape, *, trained: bool = True) -> None:
        self.n, self.shape, self.trained = n, shape, trained
        self.lanes = padded(shape.channels)
        self.values = _with_spare_row(n, shape, shape.step)  # (n, height, width, step)
        #: (n, height, width, channels padded to full vectors)
        self.slopes = _with_spare_row(n, shape, self.lanes if trained else 0)


def _with_spare_row(n: int, shape: MapShape, width: int) -> Array:
    """Zeros (n, height, width, `width`), with memory after them that a last tile may write."""
    size = n * shape.height * shape.width * width
    return zeros(size + width)[:size].reshape(n, shape.height, shape.width, width)
