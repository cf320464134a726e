"""A multilayer perceptron on flattened pixels."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from fittingroom.nets import keras
from fittingroom.nets.bounds import Widths


class MLP(nn.Module):
    """Dense layers with ReLU between them.

    Parameters
    ----------
    image_shape : (height, width)
    n_classes : width of the last layer
    hidden : widths of the hidden layers, first to last
    """

    def __init__(
        self,
        image_shape: tuple[int, int] = (28, 28),
        n_classes: int = 10,
        *,
        hidden: Widths = (256, 256),
    ) -> None:
        super().__init__()
        height, width = image_shape
        widths = [height * width, *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(widths):
            layers += [keras.dense(inputs, outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, keras.dense(widths[-1], n_classes))

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, 1, height, width)`` in 0..1 to logits ``(batch, n_classes)``."""
        logits: Tensor = self.layers(x)
        return logits
