"""A small convolutional network that trains within two minutes on a laptop."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from torch import Tensor, nn

from fittingroom.errors import InputError
from fittingroom.nets.bounds import Length, Width
from fittingroom.nets.convolution import Convolution
from fittingroom.nets.normalization import BatchNorm
from fittingroom.nets.pooled_norm import can_normalize_at_once, normalize_rows, pool_and_normalize
from fittingroom.nets.pooling import MaxPool
from fittingroom.nets.views import mean_logits
from fittingroom.nets.whitening import Whitening


class Swift(nn.Module):
    """Whitened 3 × 3 patches, pooled convolutions with batch norm, two dense layers.

    The first layer isn't trained (see :class:`Whitening`). Every other convolution starts near the
    identity (Jordan 2024, arXiv 2404.00498, section 3.2). The last maps are flattened, not pooled
    to one number each: clothes are centred in their images, so positions are informative. There is
    one convolution per map size: on small maps the gradient of a kernel is a CPU's slowest
    operation, and a dense layer there is worth as much.

    Parameters
    ----------
    image_shape : (height, width)
    n_classes : width of the last layer
    widths : channels of each convolution, after which the maps are halved
    hidden : width of the dense hidden layer
    pool_first : max-pool the whitened patches: a quarter of the work, and less detail
    mirror_views, shift_views : predict the mean over views, see :func:`~.views.mean_logits`

    Raises
    ------
    InputError : the images are too small for the layers
    """

    def __init__(
        self,
        image_shape: tuple[int, int] = (28, 28),
        n_classes: int = 10,
        *,
        widths: Annotated[Sequence[Width], Length(1, 16)] = (32, 64, 128),
        hidden: Width = 256,
        pool_first: bool = False,
        mirror_views: bool = False,
        shift_views: bool = False,
    ) -> None:
        super().__init__()
        poolings = len(widths) + pool_first  # each halves the maps
        height, width = (side // 2**poolings for side in image_shape)
        if height < 1 or width < 1:
            raise InputError(
                f"images of {image_shape[0]}×{image_shape[1]} pixels are too small for this "
                f"network; its {poolings} poolings need {2**poolings} pixels per side."
            )
        self.mirror_views, self.shift_views = mirror_views, shift_views
        self.whiten = Whitening()
        self.pool = MaxPool() if pool_first else nn.Identity()
        channels = [self.whiten.out_channels, *widths]
        self.features = nn.Sequential(*(_ConvolutionBlock(a, b) for a, b in pairwise(channels)))
        self.classifier = nn.Sequential(
            nn.Linear(widths[-1] * height * width, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, n_classes),
        )

    def fit_constants(self, images: Tensor) -> None:
        """Set the whitening kernels from training images (n, height, width) in 0..255."""
        self.whiten.fit_constants(images)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, 1, height, width)`` in 0..1 to logits ``(batch, n_classes)``."""
        if self.training:
            return self._logits(x)
        return mean_logits(self._logits, x, mirrored=self.mirror_views, shifted=self.shift_views)

    def _logits(self, x: Tensor) -> Tensor:
        # Several layers at once in training; predictions call each, for whoever lists them.
        pooled = self.training and isinstance(self.pool, MaxPool)
        patches = self.whiten(x, pooled=True) if pooled else self.pool(self.whiten(x))
        maps = self.features(patches)  # (batch, channels, h, w)
        # Flattened in memory order, channels-last, without a copy.
        hidden, norm, relu, last = self.classifier
        rows: Tensor = hidden(maps.permute(0, 2, 3, 1).flatten(1))
        assert isinstance(norm, nn.BatchNorm1d)
        at_once = self.training and can_normalize_at_once(rows)
        logits: Tensor = last(normalize_rows(rows, norm) if at_once else relu(norm(rows)))
        return logits


class _ConvolutionBlock(nn.Sequential):
    """Convolution, pooling, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            _near_identity(inputs, outputs),
            MaxPool(),
            BatchNorm(outputs, relu="after"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, inputs, h, w)`` to ``(batch, outputs, h // 2, w // 2)``."""
        convolution, pool, norm = self
        maps: Tensor = convolution(x)
        assert isinstance(norm, BatchNorm)
        if self.training and can_normalize_at_once(maps):
            return pool_and_normalize(maps, norm)
        y: Tensor = norm(pool(maps))
        return y


def _near_identity(inputs: int, outputs: int) -> Convolution:
    """A 3 × 3 convolution whose first output channels copy the input channels."""
    layer = Convolution(inputs, outputs, 3, padding=1, bias=False)
    # The input passes unchanged at first; the other channels start at random.
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer
