"""Histograms of oriented gradients (HOG)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from fittingroom.errors import InputError, UsageError
from fittingroom.models.pixels import SMALLEST_IMAGE

#: Bytes of the training images' descriptors above which a fit is refused.
MAX_MEMORY = 2**31


class HogFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """HOG descriptor of each image, by scikit-image (Dalal and Triggs, CVPR 2005), of length 1.

    Parameters
    ----------
    orientations : bins of the gradient's direction
    cell : side of a cell, in pixels; each cell gives one histogram
    block : side of a block, in cells; contrast is normalised per block. Limited by the image, so a
        large number means one block, the whole image
    square_root : take the square root of the pixels first, which compresses the range of brightness
    second_grid : add descriptors of a second grid, half a cell up and left of the first
    image_shape : (height, width); without it images are square, and rows of fewer than 49 numbers
        don't count as images and stay unchanged
    """

    def __init__(
        self,
        *,
        orientations: int = 9,
        cell: int = 4,
        block: int = 8,
        square_root: bool = True,
        second_grid: bool = True,
        image_shape: tuple[int, int] | None = None,
    ) -> None:
        self.orientations = orientations
        self.cell = cell
        self.block = block
        self.square_root = square_root
        self.second_grid = second_grid
        self.image_shape = image_shape

    def fit(self, X: NDArray[Any], y: Any = None) -> HogFeatures:
        """Determine the images' shape; nothing is learned from their content.

        Raises
        ------
        UsageError : a setting isn't a positive integer
        InputError : the images are smaller than a cell, or their descriptors would be too large
        """
        for name in ("orientations", "cell", "block"):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or value < 1:
                raise UsageError(f"{name} must be a whole number of at least 1, not {value!r}.")
        self.n_features_in_ = X.shape[1]
        self.shape_ = self._resolve_shape(X.shape[1])
        if self.shape_ is not None:
            self._refuse_large(self.shape_, len(X))
        return self

    def transform(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Descriptors (n, features) of images (n, height*width)."""
        if self.shape_ is None:
            return X.astype(np.float32)
        if X.min() < 0:
            raise InputError(
                "HOG descriptors need pixels, but some of these values are negative; pass the "
                "images unscaled, in 0..255."
            )
        images = X.reshape(-1, *self.shape_)
        return np.hstack([self._describe(images, margin) for margin in self._margins])

    @property
    def _margins(self) -> tuple[int, ...]:
        return (0, self.cell // 2) if self.second_grid else (0,)

    def _block(self, side: int, margin: int) -> tuple[int, int]:
        """Cells per block, and blocks, along a side of so many pixels with its margins."""
        cells = (side + 2 * margin) // self.cell
        block = min(self.block, cells)
        return block, cells - block + 1

    def count_features(self) -> int:
        """The length of an image's descriptor; call `fit` first."""
        if self.shape_ is None:
            return int(self.n_features_in_)
        return self.orientations * sum(
            math.prod(number for side in self.shape_ for number in self._block(side, margin))
            for margin in self._margins
        )

    def _refuse_large(self, shape: tuple[int, int], n_images: int) -> None:
        size = 4 * n_images * self.count_features()
        if size > MAX_MEMORY:
            raise InputError(
                f"with cell={self.cell} and block={self.block}, descriptors of {n_images:,} images "
                f"of {shape[0]}×{shape[1]} pixels would take {size / 2**30:.1f} GiB; use larger "
                f"cells, such as cell={max(self.cell + 1, min(shape) // 7)}."
            )

    def _describe(self, images: NDArray[Any], margin: int) -> NDArray[np.float32]:
        """Descriptors (n, features) of images (n, height, width) with a black margin."""
        from skimage.feature import hog  # a third of a second, which no other model needs

        blocks = [self._block(side, margin) for side in images.shape[1:]]
        options = {
            "orientations": self.orientations,
            "pixels_per_cell": (self.cell, self.cell),
            "cells_per_block": tuple(cells for cells, _ in blocks),
            "transform_sqrt": self.square_root,
        }
        padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin)))
        descriptors = np.stack([hog(image, **options).astype(np.float32) for image in padded])
        # Each block has the length 1. So has the whole descriptor then, for images of any size: the
        # width of an SVM's kernel that suits one suits all.
        n_blocks = math.prod(count for _, count in blocks)
        descriptors /= np.float32(math.sqrt(n_blocks))
        return descriptors

    def _resolve_shape(self, pixels: int) -> tuple[int, int] | None:
        if pixels < SMALLEST_IMAGE and self.image_shape is None:
            return None
        side = math.isqrt(pixels)
        shape = self.image_shape or (side, side)
        if math.prod(shape) != pixels:
            expected = f"{shape[0]}×{shape[1]}" if self.image_shape else "square"
            raise InputError(
                f"rows of {pixels} pixels aren't {expected} images; "
                "give the right image_shape=(height, width)."
            )
        if min(shape) < self.cell:
            raise InputError(
                f"images of {shape[0]}×{shape[1]} pixels are smaller than a cell of {self.cell}; "
                "use a smaller cell."
            )
        return shape
