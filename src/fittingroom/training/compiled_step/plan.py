"""The layers that a compiled step takes images through, and the shapes of the maps between them.

Convolutions and dense layers are the same thing here: a dense layer is a convolution whose kernel
covers the whole map.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from fittingroom.kernels.products import padded
from fittingroom.nets.convolution import Convolution
from fittingroom.nets.dropout import Dropout
from fittingroom.nets.pooling import MaxPool
from fittingroom.nets.stem import Stem

#: Fewer inputs, or input channels of a convolution, aren't worth rounding.
NARROW = 16


class MapShape(NamedTuple):
    """The shape of the maps between two layers."""

    height: int
    width: int
    channels: int
    step: int  # numbers from one pixel to the next: the channels, and perhaps zeros after them


class KernelShape(NamedTuple):
    """The shape of a layer's kernel; its bias has as many lanes."""

    rows: int
    columns: int
    inputs: int
    step: int  # of the maps that the kernel sees
    outputs: int

    @property
    def lanes(self) -> int:
        return padded(self.outputs)

    @property
    def forward(self) -> tuple[int, int, int, int]:
        """The shape of what is multiplied forward, with zeros after inputs and outputs."""
        return self.rows, self.columns, self.step, self.lanes

    @property
    def backward(self) -> tuple[int, int, int, int]:
        """The shape of what is multiplied backward, with zeros after the inputs."""
        return self.rows, self.columns, self.outputs, padded(self.inputs)


class PlannedLayer(NamedTuple):
    """A layer of a network: its module, and the shapes of what it sees and has."""

    module: nn.Module
    input: MapShape
    output: MapShape
    kernel: KernelShape | None = None  # of a layer with weights
    rectified: bool = False  # whether ReLU follows a convolution or dense layer
    paired: bool = False  # whether it multiplies pairs of bfloat16
    stride: int = 1  # pixels from where an output pixel's kernel lies to where the next one's does
    padding: int = 0  # pixels of zeros around the input

    @property
    def multiplications(self) -> int:
        """For an image, forward and backward."""
        if self.kernel is None:
            return 0
        pixels = self.output.height * self.output.width
        if isinstance(self.module, Stem):
            pixels *= 4  # before pooling
        rows, columns, inputs, _, outputs = self.kernel
        return 3 * pixels * rows * columns * inputs * outputs


#: Layers that may precede a layer, by type; None is the images.
FOLLOWS: dict[type, tuple[type | None, ...]] = {
    nn.Flatten: (None,),
    Stem: (None,),
    Convolution: (None, Stem, MaxPool, Convolution, nn.ReLU),
    nn.Linear: (nn.Flatten, Stem, MaxPool, Convolution, nn.ReLU, nn.Linear, Dropout),
    nn.ReLU: (Convolution, nn.Linear),
    MaxPool: (Convolution,),
    Dropout: (nn.ReLU, nn.Linear),
}


def supports(module: nn.Module, before: nn.Module | None) -> bool:
    """Whether a plan can have this layer after the one before, or None if it is the first."""
    if (None if before is None else type(before)) not in FOLLOWS.get(type(module), ()):
        return False
    if isinstance(module, Convolution):
        padding = module.padding
        if not module.is_plain() or padding[0] != padding[1] or module.kernel_size != (3, 3):
            return False
    return not isinstance(module, nn.Conv2d | nn.Linear) or module.bias is not None


def plan(
    modules: Sequence[nn.Module], height: int, width: int, *, half: bool = False
) -> list[PlannedLayer]:
    """The layers of a network for images of this size; ReLU joins the layer before it.

    With ``half`` all but the first convolution and the last layer multiply bfloat16, if they are
    wide enough.
    """
    layers: list[PlannedLayer] = []
    shape = MapShape(height, width, 1, 1)
    for module, following in pairwise([*modules, None]):
        assert module is not None
        if isinstance(module, nn.ReLU):
            layers[-1] = layers[-1]._replace(rectified=True)
            continue
        if isinstance(module, nn.Flatten):
            pixels = shape.height * shape.width
            shape = MapShape(1, 1, pixels, pixels)
            continue
        layers.append(_planned(module, shape, following, half))
        shape = layers[-1].output
    return layers


def _planned(
    module: nn.Module, shape: MapShape, following: nn.Module | None, half: bool
) -> PlannedLayer:
    """A layer that sees maps of this shape, and the module after it."""
    if isinstance(module, MaxPool):
        pooled = shape._replace(height=shape.height // 2, width=shape.width // 2)
        return PlannedLayer(module, shape, pooled)
    if not isinstance(module, nn.Conv2d | nn.Linear):
        return PlannedLayer(module, shape, shape)
    rows, columns, stride, padding = shape.height, shape.width, 1, 0
    if isinstance(module, nn.Conv2d):
        rows, columns, stride, padding = 3, 3, module.stride[0], int(module.padding[0])
    outputs = len(module.weight)
    kernel = KernelShape(rows, columns, shape.channels, shape.step, outputs)
    height, width = (
        (side + 2 * padding - of_kernel) // stride + 1
        for side, of_kernel in ((shape.height, rows), (shape.width, columns))
    )
    if isinstance(module, Stem):
        # Its kernel writes no zeros after the channels, which would be multiplied like them.
        return PlannedLayer(
            module, shape, MapShape(height // 2, width // 2, outputs, outputs), kernel
        )
    if isinstance(following, MaxPool):  # which leaves out an odd side's last pixels
        height, width = height // 2 * 2, width // 2 * 2
    return PlannedLayer(
        *(module, shape, MapShape(height, width, outputs, kernel.lanes), kernel),
        paired=half and _can_pair(module, kernel, following),
        stride=stride,
        padding=padding,
    )


def _can_pair(module: nn.Module, kernel: KernelShape, following: nn.Module | None) -> bool:
    """Whether a layer multiplies pairs of bfloat16, rather than float32."""
    inputs = kernel.inputs
    if isinstance(module, nn.Linear):
        if following is None:  # logits
            return False
        inputs *= kernel.rows * kernel.columns
    wide = min(inputs, kernel.outputs) >= NARROW
    return wide and kernel.step % 2 == kernel.outputs % 2 == 0
