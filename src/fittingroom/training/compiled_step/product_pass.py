"""A convolution or a dense layer by products of matrices, forward and backward.

The products differ in where their rows are (`kernels/products.py`). All addresses are prepared
once, so that a pass costs a call or two of a compiled kernel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fittingroom.kernels.compiled import compiled
from fittingroom.kernels.products import LANES, Product, as_array, multiply, row_table
from fittingroom.training.compiled_step.arrays import Array, zeros
from fittingroom.training.compiled_step.factors import Factors, PairedFactors
from fittingroom.training.compiled_step.maps import Maps
from fittingroom.training.compiled_step.plan import KernelShape, PlannedLayer
from fittingroom.training.compiled_step.weights import LayerWeights

#: Bytes of a float32, and of a pair of bfloat16.
SIZE = 4


class ProductPass:
    """A layer with weights, perhaps with ReLU.

    Parameters
    ----------
    layer : the planned layer, and ``kernel``, its kernel's shape
    weights : those of the layer
    x, y : the maps before and after
    gradient : float32, laid out as packed weights, to which ``backward`` adds
    """

    def __init__(
        self,
        layer: PlannedLayer,
        kernel: KernelShape,
        weights: LayerWeights,
        x: Maps,
        y: Maps,
        gradient: Array,
    ) -> None:
        self._kernel, self._x, self._y, self._rectified = kernel, x, y, layer.rectified
        self._stride, self._padding = layer.stride, layer.padding
        self._factors = (PairedFactors if layer.paired else Factors)(layer, x, y)
        # Like a dense layer, which needn't add to its input's slopes.
        self._sees_once = (kernel.rows, kernel.columns) == layer.input[:2] and not layer.padding
        self._nothing = zeros(x.lanes)
        # Kept, since products hold only their addresses.
        self._weights, self._gradient = weights, gradient
        self._tables: list[Array] = []
        self._forward = as_array([self._outputs()])
        self._for_kernel = as_array(self._kernel_gradients())
        self._for_input = as_array(self._input_gradients()) if x.trained else None
        self._for_bias = weights.gradients(gradient)[1]
        self._values, self._slopes = (
            maps.reshape(-1, kernel.lanes) for maps in (y.values, y.slopes)
        )

    def forward(self) -> None:
        self._factors.read_values()
        multiply(self._forward)

    def backward(self) -> None:
        if self._rectified:
            _rectify_slopes(self._slopes, self._values)
        _add_rows(self._slopes, self._for_bias)
        self._factors.read_slopes()
        multiply(self._for_kernel)
        if self._for_input is not None:
            if not self._sees_once:
                self._x.slopes[:] = 0
            multiply(self._for_input)

    def _table(self, offsets: Array, beyond: int, size: int = SIZE) -> int:
        """The address of a table of rows, given the offsets in numbers of so many bytes."""
        table = row_table(offsets * size, beyond * size)
        self._tables.append(table)
        return int(table.ctypes.data)

    def _outputs(self) -> Product:
        """Every output pixel: the pixels under the kernel times the kernel."""
        kernel, inputs = self._kernel, self._factors.inputs
        _, height, width, step = inputs.shape
        image, row, column = np.indices(self._y.values.shape[:3]).reshape(3, -1)
        corners = (image * height + row * self._stride) * width + column * self._stride
        n = len(corners)
        return Product(
            a=inputs.ctypes.data,
            a_rows=self._table(corners * step, 0, inputs.itemsize),
            rows=n,
            a_step=SIZE,
            a_jump=inputs.itemsize * (width - kernel.columns) * step,
            b=self._weights.kernel.ctypes.data,
            b_step=SIZE * kernel.lanes,
            inner=kernel.columns * step * inputs.itemsize // SIZE,
            outer=kernel.rows,
            c=self._y.values.ctypes.data,
            c_rows=self._table(np.arange(n) * kernel.lanes, n * kernel.lanes),
            start=self._weights.bias.ctypes.data,
            vectors=kernel.lanes // LANES,
            rectify=int(self._rectified),
            paired=int(self._factors.paired),
        )

    def _kernel_gradients(self) -> list[Product]:
        """Every number of the kernel: the pixels that it met times their outputs' slopes.

        A product sums over the output pixels of an image, or a pair of images; or over all images
        at an output pixel, if these are more. The longer sums are, the fewer are added in memory.
        """
        width, step = self._factors.pixels.shape[2:]
        images, height, across, lanes = self._factors.pixel_slopes.shape
        from_row, from_pixel = self._stride * width * step, self._stride * step
        of_image = self._factors.pixels[0].size
        product = self._kernel_gradient()
        if images > height * across:
            product = product._replace(
                a_step=SIZE * of_image, b_step=SIZE * height * across * lanes, inner=images
            )
            starts = [
                (r * from_row + c * from_pixel, (r * across + c) * lanes)
                for r, c in np.ndindex(height, across)
            ]
        else:
            product = product._replace(
                a_step=SIZE * from_pixel,
                a_jump=SIZE * (from_row - across * from_pixel),
                inner=across,
                outer=height,
            )
            starts = [(i * of_image, i * height * across * lanes) for i in range(images)]
        return [
            product._replace(a=product.a + SIZE * pixel, b=product.b + SIZE * slopes)
            for pixel, slopes in starts
        ]

    def _kernel_gradient(self) -> Product:
        """What the products of all images and pixels have in common."""
        kernel, pixels = self._kernel, self._factors.pixels
        _, _, width, step = pixels.shape
        u, v, k = np.indices((kernel.rows, kernel.columns, kernel.inputs)).reshape(3, -1)
        into = ((u * kernel.columns + v) * step + k) * kernel.lanes
        return Product(
            a=pixels.ctypes.data,
            a_rows=self._table((u * width + v) * step + k, 0),
            rows=len(into),
            a_step=0,
            a_jump=0,
            b=self._factors.pixel_slopes.ctypes.data,
            b_step=SIZE * kernel.lanes,
            inner=0,
            outer=1,
            c=self._gradient[self._weights.position :].ctypes.data,
            c_rows=self._table(into, len(self._gradient) - kernel.lanes - self._weights.position),
            start=0,
            vectors=kernel.lanes // LANES,
            rectify=0,
            paired=int(self._factors.paired),
        )

    def _input_gradients(self) -> list[Product]:
        """Every output pixel's slopes, added to all that it saw: a product per position.

        What is seen by one position alone is written, not added.
        """
        positions = np.ndindex(self._kernel.rows, self._kernel.columns)
        return [self._input_gradient(u, v) for u, v in positions]

    def _input_gradient(self, u: int, v: int) -> Product:
        """The slopes times the kernel at (u, v), without pixels that saw the padding there."""
        kernel, x, slopes = self._kernel, self._x, self._factors.slopes
        image, row, column = np.indices(self._y.values.shape[:3]).reshape(3, -1)
        height, width = x.shape.height, x.shape.width
        r, c = (
            side * self._stride + offset - self._padding for side, offset in ((row, u), (column, v))
        )
        (inside,) = np.nonzero((r >= 0) & (r < height) & (c >= 0) & (c < width))
        into = (((image * height + r) * width + c) * x.lanes)[inside]
        return Product(
            a=slopes.ctypes.data,
            a_rows=self._table(inside * kernel.lanes, 0, slopes.itemsize),
            rows=len(inside),
            a_step=SIZE,
            a_jump=0,
            b=self._weights.backward[u, v].ctypes.data,
            b_step=SIZE * x.lanes,
            inner=kernel.outputs * slopes.itemsize // SIZE,
            outer=1,
            c=x.slopes.ctypes.data,
            c_rows=self._table(into, x.slopes.size),
            start=self._nothing.ctypes.data if self._sees_once else 0,
            vectors=x.lanes // LANES,
            rectify=0,
            paired=int(self._factors.paired),
        )


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
