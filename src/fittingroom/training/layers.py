"""Layers of a small convolutional network, forward and backward, without autograd.

A ``Pass`` takes some images forward and backward through a network's layers. Its maps and the
addresses of its products are prepared once, so that a layer costs a call or two of a compiled
kernel. Convolutions and dense layers are the same thing here: a dense layer is a convolution whose
kernel covers the whole map.

In bfloat16 the factors of convolutions are rounded, and taken two at a time; all sums, other layers
and the update are float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from fittingroom.kernels.compiled import as_stored, compiled
from fittingroom.kernels.products import LANES, Product, as_array, multiply, padded, row_table
from fittingroom.kernels.random import keep_threshold
from fittingroom.kernels.tensors import view
from fittingroom.nets import dropout, pooling, stem
from fittingroom.nets.convolution import Convolution

Array = np.ndarray[Any, Any]
#: Bytes of a float32, and of a pair of bfloat16.
SIZE = 4
#: Convolutions of fewer input channels aren't worth rounding.
NARROW = 16


class MapShape(NamedTuple):
    """The shape of the maps between two layers."""

    height: int
    width: int
    channels: int
    step: int  # numbers from one pixel to the next: the channels, and perhaps zeros after them


class Packing(NamedTuple):
    """Where a layer's weights are in the packed vectors (see `Packed`), and their shape."""

    rows: int  # of the kernel
    columns: int
    inputs: int
    step: int  # of the maps that the kernel sees
    outputs: int
    kernel: int  # positions in the forward vector
    bias: int
    backward: int  # position in the backward vector
    paired: bool  # whether its products are of pairs of bfloat16

    @property
    def lanes(self) -> int:
        return padded(self.outputs)


class PlannedLayer(NamedTuple):
    """A layer of a network as a pass needs it: its module, and the shapes of what it sees."""

    module: nn.Module
    input: MapShape
    output: MapShape
    block: Packing | None = None  # of a layer with weights
    rectified: bool = False  # whether ReLU follows a convolution or dense layer

    @property
    def multiplications(self) -> int:
        """For an image, forward and backward."""
        if self.block is None:
            return 0
        pixels = self.output.height * self.output.width
        if isinstance(self.module, stem.Stem):
            pixels *= 4  # before pooling
        block = self.block
        return 3 * pixels * block.rows * block.columns * block.inputs * block.outputs


#: Layers that may precede a layer in a pass, by type; None is the images.
FOLLOWS: dict[type, tuple[type | None, ...]] = {
    stem.Stem: (None,),
    Convolution: (None, stem.Stem, pooling.MaxPool, Convolution, nn.ReLU),
    nn.Linear: (stem.Stem, pooling.MaxPool, Convolution, nn.ReLU, nn.Linear, dropout.Dropout),
    nn.ReLU: (Convolution, nn.Linear),
    pooling.MaxPool: (Convolution,),
    dropout.Dropout: (nn.ReLU, nn.Linear),
}


def supports(module: nn.Module, before: nn.Module | None) -> bool:
    """Whether a pass can have this layer after the one before, or None if it is the first."""
    if (None if before is None else type(before)) not in FOLLOWS.get(type(module), ()):
        return False
    if isinstance(module, Convolution):
        plain = module.is_plain() and module.stride == (1, 1) and module.padding == (0, 0)
        if not plain or module.kernel_size != (3, 3):
            return False
    return not isinstance(module, nn.Conv2d | nn.Linear) or module.bias is not None


def chain(
    modules: Sequence[nn.Module], height: int, width: int, *, half: bool = False
) -> list[PlannedLayer]:
    """The layers of a network for images of this size; ReLU joins the layer before it.

    With ``half`` convolutions multiply bfloat16.
    """
    layers: list[PlannedLayer] = []
    shape = MapShape(height, width, 1, 1)
    forward = backward = 0
    for module in modules:
        if isinstance(module, nn.ReLU):
            layers[-1] = layers[-1]._replace(rectified=True)
            continue
        block = None
        if isinstance(module, nn.Conv2d | nn.Linear):
            block, output = _block(module, shape, forward, backward, half)
            forward = block.bias + block.lanes
            backward += block.rows * block.columns * block.outputs * padded(block.inputs)
        elif isinstance(module, pooling.MaxPool):
            output = shape._replace(height=shape.height // 2, width=shape.width // 2)
        else:
            output = shape
        layers.append(PlannedLayer(module, shape, output, block))
        shape = output
    return layers


def _block(
    module: nn.Conv2d | nn.Linear, shape: MapShape, forward: int, backward: int, half: bool
) -> tuple[Packing, MapShape]:
    """A layer's weights, at these positions of the packed vectors, and the shape of its output."""
    rows, columns = (3, 3) if isinstance(module, nn.Conv2d) else (shape.height, shape.width)
    outputs = len(module.weight)
    lanes = padded(outputs)
    kernel = rows * columns * shape.step * lanes
    block = Packing(
        *(rows, columns, shape.channels, shape.step, outputs),
        kernel=forward,
        bias=forward + kernel,
        backward=backward,
        paired=half
        and isinstance(module, Convolution)
        and shape.channels >= NARROW
        and shape.step % 2 == outputs % 2 == 0,
    )
    height, width = shape.height - rows + 1, shape.width - columns + 1
    if isinstance(module, stem.Stem):
        # Its kernel writes no zeros after the channels, which would be multiplied like them.
        return block, MapShape(height // 2, width // 2, outputs, outputs)
    return block, MapShape(height, width, outputs, lanes)


class Packed:
    """A network's weights as products take them.

    The forward vector holds of each layer its kernel (rows, columns, inputs, outputs), then its
    bias; the backward vector its kernel (rows, columns, outputs, inputs). The last dimension is
    padded with zeros to full vectors. Gradients are laid out as the forward vector. Kernels that
    are multiplied in bfloat16 are at the same positions of two other vectors, int16, in pairs:
    (rows, columns, inputs / 2, outputs, 2).
    """

    def __init__(self, layers: Sequence[PlannedLayer]) -> None:
        self.weights: list[Tensor] = []
        self.places: list[Places] = []  # of each of them
        blocks = [layer.block for layer in layers if layer.block]
        size = max(block.bias + block.lanes for block in blocks)
        # What has no place in the backward vector goes to its last element.
        last = max(
            block.backward + block.rows * block.columns * block.outputs * padded(block.inputs)
            for block in blocks
        )
        #: Rows that fill up a tile are written after the end (see `row_table`).
        self.size = size + max(block.lanes for block in blocks)
        self.forward, self.backward = zeros(size), zeros(last + 1)
        self.forward_pairs, self.backward_pairs = (
            torch.zeros(n, dtype=torch.int16).numpy() for n in (size, last + 1)
        )
        for layer in layers:
            if layer.block is None:
                continue
            module, block = layer.module, layer.block
            assert isinstance(module, nn.Conv2d | nn.Linear)
            assert module.bias is not None
            self.weights += [module.weight.detach(), module.bias.detach()]
            bias = (block.bias + np.arange(block.outputs)).astype(np.int32)
            self.places.append(_places(block, dense=isinstance(module, nn.Linear)))
            self.places.append(Places(bias, bias, np.full(len(bias), last, np.int32), paired=False))

    def vectors(self, places: Places) -> tuple[Array, Array]:
        """The forward and backward vector that a weight is in."""
        if places.paired:
            return self.forward_pairs, self.backward_pairs
        return self.forward, self.backward

    def fill(self) -> None:
        """Read the weights anew."""
        for weight, places in zip(self.weights, self.places, strict=True):
            values = weight.reshape(-1)
            stored = view(values.bfloat16() if places.paired else values)
            forward, backward = self.vectors(places)
            forward[places.forward] = stored
            backward[places.backward] = stored


class Places(NamedTuple):
    """Where a weight's elements are, in their order, in the packed vectors and in a gradient."""

    gradient: Array
    forward: Array
    backward: Array
    paired: bool


def _places(block: Packing, *, dense: bool) -> Places:
    shape = block.rows, block.columns, block.step, block.lanes
    gradient, forward = (
        _positions(block.kernel, shape, paired=paired)[:, :, : block.inputs, : block.outputs]
        for paired in (False, block.paired)
    )
    shape = block.rows, block.columns, block.outputs, padded(block.inputs)
    backward = _positions(block.backward, shape, paired=block.paired)
    backward = backward[..., : block.inputs].swapaxes(2, 3)
    # A convolution's weight is (outputs, inputs, rows, columns), a dense layer's (outputs, rows ·
    # columns · inputs).
    order = (3, 0, 1, 2) if dense else (3, 2, 0, 1)
    of_gradient, of_forward, of_backward = (
        p.transpose(order).ravel().astype(np.int32) for p in (gradient, forward, backward)
    )
    return Places(of_gradient, of_forward, of_backward, block.paired)


def _positions(start: int, shape: tuple[int, int, int, int], *, paired: bool) -> Array:
    """Positions of a kernel's numbers (rows, columns, k, width); paired, of two successive k."""
    numbers = np.arange(math.prod(shape)) + start
    if not paired:
        return numbers.reshape(shape)
    rows, columns, k, width = shape
    pairs = numbers.reshape(rows, columns, k // 2, width, 2)
    return pairs.swapaxes(3, 4).reshape(shape)


def zeros(*shape: int) -> Array:
    """Float32 zeros that start with a cache line, which NumPy's needn't."""
    return torch.zeros(shape).numpy()


class Maps:
    """The values between two layers, and the gradient of the loss with respect to them."""

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


class LayerPass(Protocol):
    """A layer of a pass."""

    def forward(self) -> None: ...

    def backward(self) -> None: ...


class Pass:
    """A number of images' way through the layers and back.

    Parameters
    ----------
    layers : of the network, the last of them dense
    packed : their weights
    gradient : float32 (packed.size,), to which ``backward`` adds
    """

    def __init__(
        self, layers: Sequence[PlannedLayer], n: int, packed: Packed, gradient: Array
    ) -> None:
        maps = Maps(n, layers[0].input, trained=False)
        self._images = maps.values[..., 0]
        self._parts: list[LayerPass] = []
        self._dropouts: list[_DropoutPass] = []
        for layer in layers:
            following = Maps(n, layer.output)
            part: LayerPass
            if isinstance(layer.module, stem.Stem):
                part = _StemPass(layer, maps, following, packed, gradient)
            elif layer.block is not None:
                kind = _PairedPass if layer.block.paired else _ProductsPass
                part = kind(layer, layer.block, maps, following, packed, gradient)
            elif isinstance(layer.module, pooling.MaxPool):
                part = _PoolPass(layer.module, maps, following)
            else:
                assert isinstance(layer.module, dropout.Dropout)
                part = _DropoutPass(layer.module, maps, following)
                self._dropouts.append(part)
            self._parts.append(part)
            maps = following
        self._logits, self._slopes = (a.reshape(n, -1) for a in (maps.values, maps.slopes))

    def forward(self, images: Array, seeds: Sequence[int], first: int) -> Array:
        """Logits (n, classes padded) of images (n, height, width).

        ``seeds`` are those of the dropout layers, ``first`` is the place of the first image in its
        batch.
        """
        self._images[:] = images
        for part, seed in zip(self._dropouts, seeds, strict=True):
            part.seed(seed, first)
        for part_ in self._parts:
            part_.forward()
        return self._logits

    def backward(self, targets: Array, scale: float) -> None:
        """Add the gradient of `scale` times the sum of cross-entropies to targets (n, classes)."""
        _softmax_slopes(self._logits, targets, np.float32(scale), self._slopes)
        for part in reversed(self._parts):
            part.backward()


class _StemPass:
    def __init__(
        self, layer: PlannedLayer, x: Maps, y: Maps, packed: Packed, gradient: Array
    ) -> None:
        assert layer.block is not None
        block = layer.block

        def kernel_and_bias(vector: Array) -> tuple[Array, Array]:
            kernel = vector[block.kernel : block.bias].reshape(3, 3, block.lanes)
            return kernel, vector[block.bias : block.bias + block.lanes]

        self._weights = kernel_and_bias(packed.forward)
        kernel, bias = kernel_and_bias(gradient)
        self._gradients = kernel[None], bias[None]  # of the only thread
        self._x, self._y, self._n = x.values[..., 0], y.values, x.n
        self._slopes = y.slopes[..., : block.outputs]
        self._places = np.empty(y.values.shape, np.uint8)

    def forward(self) -> None:
        stem.convolve(0, self._n, 0, self._x, *self._weights, self._y, self._places)

    def backward(self) -> None:
        stem.add_gradients(*(0, self._n, 0, self._x, self._slopes, self._places), *self._gradients)


class _ProductsPass:
    """A convolution or a dense layer, perhaps with ReLU, in float32."""

    def __init__(
        self,
        layer: PlannedLayer,
        block: Packing,
        x: Maps,
        y: Maps,
        packed: Packed,
        gradient: Array,
    ) -> None:
        self._layer, self._block, self._x, self._y = layer, block, x, y
        # Kept, since products hold only their addresses.
        self._packed, self._gradient = packed, gradient
        self._tables: list[Array] = []
        self._forward = as_array([self._outputs()])
        self._for_kernel = as_array(self._kernel_gradients())
        self._for_input = as_array(self._input_gradients()) if x.trained else None
        self._for_bias = gradient[block.bias : block.bias + block.lanes]
        self._values, self._slopes = (
            maps.reshape(-1, block.lanes) for maps in (y.values, y.slopes)
        )

    def forward(self) -> None:
        multiply(self._forward)

    def backward(self) -> None:
        if self._layer.rectified:
            _rectify_slopes(self._slopes, self._values)
        _add_rows(self._slopes, self._for_bias)
        self._prepare_factors()
        multiply(self._for_kernel)
        if self._for_input is not None:
            self._x.slopes[:] = 0
            multiply(self._for_input)

    def _prepare_factors(self) -> None:
        """Make of the slopes what the gradients' products take; here these are the slopes."""

    def _table(self, offsets: Array, beyond: int, size: int = SIZE) -> int:
        """The address of a table of rows, given the offsets in numbers of so many bytes."""
        table = row_table(offsets * size, beyond * size)
        self._tables.append(table)
        return int(table.ctypes.data)

    def _corners(self, step: int) -> Array:
        """Of each output pixel, the first that it sees, if these are ``step`` apart."""
        height, width = self._x.shape.height, self._x.shape.width
        image, row, column = np.indices(self._y.values.shape[:3]).reshape(3, -1)
        corners: Array = ((image * height + row) * width + column) * step
        return corners

    def _outputs(self) -> Product:
        """Every output pixel: the pixels under the kernel times the kernel."""
        block, x, y = self._block, self._x, self._y
        rows = self._corners(x.shape.step)
        forward = self._packed.forward.ctypes.data
        return Product(
            a=x.values.ctypes.data,
            a_rows=self._table(rows, 0),
            rows=len(rows),
            a_step=SIZE,
            a_jump=SIZE * (x.shape.width - block.columns) * x.shape.step,
            b=forward + SIZE * block.kernel,
            b_step=SIZE * block.lanes,
            inner=block.columns * x.shape.step,
            outer=block.rows,
            c=y.values.ctypes.data,
            c_rows=self._table(np.arange(len(rows)) * block.lanes, len(rows) * block.lanes),
            start=forward + SIZE * block.bias,
            vectors=block.lanes // LANES,
            rectify=int(self._layer.rectified),
        )

    def _kernel_gradients(self) -> list[Product]:
        """An image's after the other's, so that its pixels stay in the cache.

        Maps of one pixel are a row of pixels.
        """
        x, y, product = self._x, self._y, self._kernel_gradient()
        image, slopes = (array[0].nbytes for array in (x.values, y.slopes))
        if y.shape.height * y.shape.width == 1:
            return [product._replace(a_step=image, inner=x.n)]
        return [
            product._replace(a=product.a + i * image, b=product.b + i * slopes) for i in range(x.n)
        ]

    def _kernel_gradient(self) -> Product:
        """Every number of the kernel: the first image's pixels that it met times the slopes."""
        block, x, y = self._block, self._x, self._y
        height, width = y.shape.height, y.shape.width
        step = x.shape.step
        u, v, k = np.indices((block.rows, block.columns, block.inputs)).reshape(3, -1)
        rows = (u * x.shape.width + v) * step + k
        into = ((u * block.columns + v) * step + k) * block.lanes
        return Product(
            a=x.values.ctypes.data,
            a_rows=self._table(rows, 0),
            rows=len(rows),
            a_step=SIZE * step,
            a_jump=SIZE * (x.shape.width - width) * step,
            b=y.slopes.ctypes.data,
            b_step=SIZE * block.lanes,
            inner=width,
            outer=height,
            c=self._gradient.ctypes.data + SIZE * block.kernel,
            c_rows=self._table(into, len(self._gradient) - block.lanes - block.kernel),
            start=0,
            vectors=block.lanes // LANES,
            rectify=0,
        )

    def _input_gradients(self) -> list[Product]:
        """Every output pixel's slopes, added to all that it saw: a product per position."""
        block, x, y = self._block, self._x, self._y
        rows = self._corners(x.lanes)
        product = Product(
            a=y.slopes.ctypes.data,
            a_rows=self._table(np.arange(len(rows)) * block.lanes, 0),
            rows=len(rows),
            a_step=SIZE,
            a_jump=0,
            b=self._packed.backward.ctypes.data + SIZE * block.backward,
            b_step=SIZE * x.lanes,
            inner=block.outputs,
            outer=1,
            c=x.slopes.ctypes.data,
            c_rows=0,
            start=0,
            vectors=x.lanes // LANES,
            rectify=0,
        )
        products = []
        for u, v in np.ndindex(block.rows, block.columns):
            shift = (u * x.shape.width + v) * x.lanes
            kernel = (u * block.columns + v) * block.outputs * x.lanes
            products.append(
                product._replace(
                    b=product.b + SIZE * kernel,
                    c=product.c + SIZE * shift,
                    c_rows=self._table(rows, x.slopes.size - shift),
                )
            )
        return products


class _PairedPass(_ProductsPass):
    """A convolution, perhaps with ReLU, whose factors are pairs of bfloat16.

    Forward, and for the gradient of its input, the pairs are of successive channels; for the
    kernel's gradient of successive pixels. There pixel p is paired with p + 1 for every p, since a
    kernel's columns begin at even and at odd ones; slopes only for every other p, with a zero at
    the end of an odd row.
    """

    def __init__(
        self,
        layer: PlannedLayer,
        block: Packing,
        x: Maps,
        y: Maps,
        packed: Packed,
        gradient: Array,
    ) -> None:
        def bits(maps: Array, dtype: torch.dtype) -> Array:
            return torch.zeros(maps.shape, dtype=dtype).numpy()

        self._pixels, self._pixel_pairs = (
            bits(x.values, dtype) for dtype in (torch.int16, torch.int32)
        )
        self._rounded = bits(y.slopes, torch.int16)
        # (n, height, pairs of a row, lanes)
        self._slope_pairs = bits(y.slopes[:, :, ::2], torch.int32)
        super().__init__(layer, block, x, y, packed, gradient)

    def forward(self) -> None:
        _round(self._x.values.reshape(-1), self._pixels.reshape(-1))
        super().forward()

    def _prepare_factors(self) -> None:
        _round(self._y.slopes.reshape(-1), self._rounded.reshape(-1))
        _pair_columns(self._rounded, self._slope_pairs)
        _pair_pixels(self._pixels.reshape(-1), self._block.step, self._pixel_pairs.reshape(-1))

    def _outputs(self) -> Product:
        block, x, product = self._block, self._x, super()._outputs()
        return product._replace(
            a=self._pixels.ctypes.data,
            a_rows=self._table(self._corners(block.step), 0, SIZE // 2),
            a_jump=product.a_jump // 2,
            b=self._packed.forward_pairs.ctypes.data + SIZE // 2 * block.kernel,
            inner=block.columns * x.shape.step // 2,
            paired=1,
        )

    def _kernel_gradients(self) -> list[Product]:
        pairs = self._slope_pairs.shape[2]
        image, slopes = (array[0].nbytes for array in (self._pixel_pairs, self._slope_pairs))
        product = self._kernel_gradient()
        product = product._replace(
            a_step=2 * product.a_step,
            a_jump=(self._x.shape.width - 2 * pairs) * product.a_step,
            inner=pairs,
            paired=1,
        )
        return [
            product._replace(
                a=self._pixel_pairs.ctypes.data + i * image,
                b=self._slope_pairs.ctypes.data + i * slopes,
            )
            for i in range(self._x.n)
        ]

    def _input_gradients(self) -> list[Product]:
        block, backward = self._block, self._packed.backward.ctypes.data
        rows = np.arange(self._rounded.size // block.lanes) * block.lanes
        a_rows = self._table(rows, 0, SIZE // 2)
        return [
            product._replace(
                a=self._rounded.ctypes.data,
                a_rows=a_rows,
                b=self._packed.backward_pairs.ctypes.data + (product.b - backward) // 2,
                inner=block.outputs // 2,
                paired=1,
            )
            for product in super()._input_gradients()
        ]


class _PoolPass:
    def __init__(self, module: pooling.MaxPool, x: Maps, y: Maps) -> None:
        self._x, self._y = x, y
        self._floor = np.float32(0 if module.relu else -math.inf)
        self._places = np.empty(y.values.shape, np.uint8)

    def forward(self) -> None:
        x, y = self._x.values, self._y.values
        pooling.pool(0, len(x), 0, x, y, self._places, self._floor)

    def backward(self) -> None:
        g, d = self._y.slopes, self._x.slopes
        pooling.unpool(0, len(g), 0, g, self._places, d)


class _DropoutPass:
    def __init__(self, module: dropout.Dropout, x: Maps, y: Maps) -> None:
        self._x, self._y = x, y
        self._factors = zeros(*x.values.shape)
        self._levels, self._factor = keep_threshold(module.rate), np.float32(1 / (1 - module.rate))
        self._seed = np.uint32(0)

    def seed(self, seed: int, first: int) -> None:
        """Make each image's random numbers those of its place in the batch."""
        position = first * self._factors[0].size
        self._seed = np.uint32((seed + position) % 2**32)

    def forward(self) -> None:
        flat = self._factors.reshape(-1)
        dropout.draw(0, len(flat), 0, flat, self._seed, self._levels, self._factor)
        np.multiply(self._x.values, self._factors, out=self._y.values)

    def backward(self) -> None:
        np.multiply(self._y.slopes, self._factors, out=self._x.slopes)


@compiled
def _softmax_slopes(logits: Any, targets: Any, scale: Any, slopes: Any) -> None:
    """slopes = scale · (softmax(logits) - targets), for the classes that targets have."""
    n, classes = targets.shape
    for i in range(n):
        largest = logits[i, 0]
        for k in range(classes):
            largest = max(largest, logits[i, k])
        total = np.float32(0)
        for k in range(classes):
            slopes[i, k] = np.exp(logits[i, k] - largest)
            total += slopes[i, k]
        for k in range(classes):
            slopes[i, k] = scale * (slopes[i, k] / total - targets[i, k])


@compiled
def _rectify_slopes(slopes: Any, values: Any) -> None:
    none = np.float32(0)
    for i in range(slopes.shape[0]):
        for k in range(slopes.shape[1]):
            slopes[i, k] = slopes[i, k] if values[i, k] > none else none


@compiled
def _add_rows(rows: Any, total: Any) -> None:
    """total (width,) += the sum of rows (n, width)."""
    sums = np.zeros(len(total), np.float32)
    for i in range(rows.shape[0]):
        for k in range(len(total)):
            sums[k] += rows[i, k]
    for k in range(len(total)):
        total[k] += sums[k]


@compiled
def _round(values: Any, rounded: Any) -> None:
    """Float32 to bfloat16, as int16 bits."""
    for i in range(len(values)):
        rounded[i] = as_stored(values[i], rounded[i])


@compiled
def _pair_columns(rounded: Any, pairs: Any) -> None:
    """Pair the pixels 01, 23, … of each row (n, height, width, lanes)."""
    n, height, width, lanes = rounded.shape
    for i in range(n):
        for r in range(height):
            for c in range(0, width - 1, 2):
                for k in range(lanes):
                    low = np.int32(rounded[i, r, c, k]) & np.int32(0xFFFF)
                    high = np.int32(rounded[i, r, c + 1, k]) << np.int32(16)
                    pairs[i, r, c // 2, k] = low | np.int32(high)
            if width % 2:
                for k in range(lanes):
                    last = np.int32(rounded[i, r, width - 1, k])
                    pairs[i, r, width // 2, k] = last & np.int32(0xFFFF)


@compiled
def _pair_pixels(pixels: Any, step: Any, pairs: Any) -> None:
    """Pair the pixels 01, 12, 23, …, each of ``step`` numbers; the last one with zeros."""
    following = pixels[step:]  # the same index in both, or the loop isn't vectorised
    for i in range(len(following)):
        low = np.int32(pixels[i]) & np.int32(0xFFFF)
        pairs[i] = low | np.int32(np.int32(following[i]) << np.int32(16))
    for i in range(len(following), len(pixels)):
        pairs[i] = np.int32(pixels[i]) & np.int32(0xFFFF)
