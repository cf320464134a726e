"""Exact nearest neighbours of images, by integer matrix products.

A squared distance is `|x|² + |y|² - 2 x·y`. Pixels less 128 fit eight bits, which CPUs multiply
several times faster than float32, summing in 32 bits without rounding: distances are exact, so
equal ones stay equal. The k least of each row are then found in one pass (`nearest_search.py`).

Sums of float32 are exact as well, of images of at most 1,024 pixels. NumPy compares a few images
so, in less time than it takes to import Numba.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from fittingroom.models.pixels import as_pixels

#: More neighbours than this are sorted faster by other methods.
MAX_NEIGHBOURS = 64
#: A larger image's squared distance, up to 255² per pixel, could exceed 31 bits.
MAX_PIXELS = 2**15
#: In float32 whole numbers are exact up to 2^24, and a product of two pixels is at most 2^14.
MAX_FLOAT_PIXELS = 2**10
#: So many images are compared by NumPy, in blocks of so many training images.
FEW, BLOCK = 128, 6000
_SEARCH = "fittingroom.models.nearest_search"


class NearestImages:
    """A fitted k-nearest-neighbours classifier: the training images and their classes.

    Of training images at the same distance the first is the nearer one.

    Parameters
    ----------
    estimator : unfitted; :func:`can_search` must be true for it
    pixels : uint8 (n, height*width)
    codes : integers (n,), every class of 0..classes-1 present
    """

    def __init__(
        self, estimator: KNeighborsClassifier, pixels: NDArray[np.uint8], codes: NDArray[np.int64]
    ) -> None:
        self.n_neighbors = int(estimator.n_neighbors)
        self._estimator = estimator
        self._images = _centre(pixels)
        self._norms = _squared_norms(self._images)
        self._codes = codes
        self._n_classes = int(codes.max()) + 1

    def neighbours(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Positions (n, k) of the nearest training images, nearest first, and distances (n, k)."""
        queries = _centre(pixels)
        few = len(queries) <= FEW and queries.shape[1] <= MAX_FLOAT_PIXELS
        if few and _SEARCH not in sys.modules:
            positions, squared = self._compare(queries)
        else:
            from fittingroom.models.nearest_search import search

            positions, squared = search(queries, self._images, self._norms, self.n_neighbors)
        squared += _squared_norms(queries)[:, None]
        return positions.astype(np.int64), np.sqrt(squared.astype(np.float64))

    def predict_proba(self, X: NDArray[Any]) -> NDArray[np.float64]:
        """Shares (n, classes) of the neighbours' votes, for images (n, height*width)."""
        pixels = as_pixels(X)
        if pixels is None:
            return self.to_scikit_learn().predict_proba(X)  # type: ignore[no-any-return]
        positions, distances = self.neighbours(pixels)
        votes = np.zeros((len(pixels), self._n_classes))
        rows = np.arange(len(pixels))[:, None]
        np.add.at(votes, (rows, self._codes[positions]), self._weights(distances))
        return votes / votes.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]

    def to_scikit_learn(self, dtype: type[np.number] = np.float32) -> KNeighborsClassifier:
        """The same classifier in scikit-learn; equal distances may come in another order.

        Parameters
        ----------
        dtype : of its training images. Bytes are smaller, scikit-learn compares floats far faster
        """
        pixels = (self._images.view(np.uint8) ^ 0x80).astype(dtype, copy=False)
        fitted: KNeighborsClassifier = self._estimator.fit(pixels, self._codes)
        return fitted

    def _weights(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._estimator.weights == "uniform":
            return np.ones_like(distances)
        identical = distances == 0  # an identical image outvotes all that are only near
        any_identical = identical.any(axis=1, keepdims=True)
        return np.where(any_identical, identical, 1 / np.where(identical, 1, distances))

    def _compare(self, queries: NDArray[np.int8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """As `search`, for a few images."""
        columns, wide = [], queries.astype(np.float32)
        for first in range(0, len(self._images), BLOCK):
            block = self._images[first : first + BLOCK].astype(np.float32)
            products = (wide @ block.T).astype(np.int32)
            columns.append(self._norms[first : first + BLOCK] - 2 * products)
        squared = np.hstack(columns)
        nearest = np.stack([_least(row, self.n_neighbors) for row in squared])
        return nearest.astype(np.int32), np.take_along_axis(squared, nearest, axis=1)


def can_search(estimator: KNeighborsClassifier, n: int, n_pixels: int) -> bool:
    """Whether :class:`NearestImages` supports `estimator`'s parameters, for n images."""
    defaults = KNeighborsClassifier(algorithm="brute").get_params()
    free = {"n_neighbors", "weights", "n_jobs", "leaf_size"}
    params = {k: v for k, v in estimator.get_params().items() if k not in free}
    return bool(
        all(params[name] == defaults[name] for name in params)
        and estimator.weights in ("uniform", "distance")
        and isinstance(estimator.n_neighbors, int | np.integer)
        and 1 <= estimator.n_neighbors <= min(n, MAX_NEIGHBOURS)
        and (n_pixels <= MAX_FLOAT_PIXELS or (n_pixels <= MAX_PIXELS and _multiplies_bytes()))
    )


def _multiplies_bytes() -> bool:
    # Imported late: a few small images are compared without LLVM.
    from fittingroom.kernels.capabilities import multiplies_bytes

    return multiplies_bytes()


def nearest_images(
    images: NDArray[np.uint8], queries: NDArray[np.uint8], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Positions (m, k) of the nearest of `images` (n, pixels) for each of `queries` (m, pixels).

    Nearest first, with their Euclidean distances (m, k); of fewer than k images all.
    """
    k = min(k, len(images))
    estimator = KNeighborsClassifier(k, algorithm="brute")
    if can_search(estimator, len(images), images.shape[1]):
        return NearestImages(estimator, images, np.zeros(len(images), np.int64)).neighbours(queries)
    stock = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(images.astype(np.float32))
    distances, positions = stock.kneighbors(queries.astype(np.float32))
    return positions, distances


def _least(numbers: NDArray[np.int32], k: int) -> NDArray[np.int64]:
    """Positions (k,) of the k least numbers (n,), in order; of equal ones the first."""
    candidates = np.flatnonzero(numbers <= np.partition(numbers, k - 1)[k - 1])
    return candidates[numbers[candidates].argsort(kind="stable")][:k]


def _centre(pixels: NDArray[np.uint8]) -> NDArray[np.int8]:
    return (pixels ^ 0x80).view(np.int8)  # less 128


def _squared_norms(images: NDArray[np.int8]) -> NDArray[np.int32]:
    return np.einsum("ij,ij->i", images, images, dtype=np.int32)  # type: ignore[no-any-return]
