"""Search for the nearest of many images: products of matrices, the least by a compiled kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fittingroom.kernels import capabilities
from fittingroom.kernels.byte_products import (
    PANEL,
    QUAD,
    A,
    B,
    ByteProduct,
    C,
    arrange,
    signed_rows,
)
from fittingroom.kernels.compiled import compiled, count_parts, in_parts
from fittingroom.kernels.products import multiply_bytes

if capabilities.multiplies_matrices_of_bytes():  # imported here, so that no search's time has it
    from fittingroom.models import byte_matrices
else:
    byte_matrices = None  # type: ignore[assignment]

# Images looked for at once by a thread: they and their products with a panel stay in the cache.
_CHUNK = 240
# Images compared at once by a library: products of 48 MB. Between smaller ones its threads fall
# asleep, and waking them takes longer than the products.
_QUERIES, _BLOCK = 2000, 6000
_LANES = PANEL  # products processed together

Bytes: TypeAlias = NDArray[np.int8]
Integers: TypeAlias = NDArray[np.int32]


def search(queries: Bytes, images: Bytes, norms: Integers, k: int) -> tuple[Integers, Integers]:
    """Positions (m, k) of the nearest of `images` (n, pixels) for each of `queries` (m, pixels).

    Nearest first; of images at the same distance the first is the nearer one. Also returns the
    squared distances (m, k), less the queries' own squared norms.

    Parameters
    ----------
    queries, images : pixels less 128; at most 1,024 pixels, unless products of bytes are exact here
    norms : (n,) the squared norms of `images`
    """
    positions = np.empty((len(queries), k), np.int32)
    squared = np.full((len(queries), k), np.iinfo(np.int32).max, np.int32)
    if byte_matrices is not None and byte_matrices.are_exact(images.shape[1]):
        _search_blocks(queries, images, norms, byte_matrices.multiply, positions, squared)
    elif capabilities.multiplies_bytes():
        _search_panels(queries, images, norms, positions, squared)
    else:
        _search_blocks(queries, images, norms, _multiply_floats, positions, squared)
    return positions, squared


def _search_blocks(
    queries: Bytes,
    images: Bytes,
    norms: Integers,
    multiply: Callable[[Bytes, Bytes, Integers], None],
    positions: Integers,
    squared: Integers,
) -> None:
    """Search by a library's products of queries and images, which ``multiply`` writes."""
    memory = np.empty(min(len(queries), _QUERIES) * min(len(images), _BLOCK), np.int32)
    for start in range(0, len(queries), _QUERIES):
        rows = slice(start, start + _QUERIES)
        some = queries[rows]
        for first in range(0, len(images), _BLOCK):
            block = images[first : first + _BLOCK]
            products = memory[: len(some) * len(block)].reshape(len(some), len(block))
            multiply(some, block, products)
            arguments = (products, norms[first : first + _BLOCK], first)
            kernel = (_keep_least, len(some), products.size)
            in_parts(*kernel, *arguments, positions[rows], squared[rows])


def _multiply_floats(queries: Bytes, images: Bytes, products: Integers) -> None:
    """Exact as well, and slower."""
    products[:] = queries.astype(np.float32) @ images.astype(np.float32).T


def _search_panels(
    queries: Bytes, images: Bytes, norms: Integers, positions: Integers, squared: Integers
) -> None:
    """Search by products of signed queries and unsigned images.

    |x - y|² = |x|² + |y|² - 2 x·y holds of pixels x and y as it does of x' and y', which are less
    by 128. With x·y = x'·y + 128 Σy, all but |x|² is |y|² - 256 Σy - 2 x'·y, where |y|² - 256 Σy is
    |y'|² - 128² a pixel; and |x|² is |x'|² + 256 Σx' + 128² a pixel.
    """
    n_queries, n_pixels = queries.shape
    panels = arrange((images ^ -128).view(np.uint8))
    lengths = np.full(len(panels) * PANEL, np.iinfo(np.int32).max, np.int32)
    lengths[: len(images)] = norms - 2**14 * n_pixels
    n_chunks = -(-n_queries // _CHUNK)
    rows = signed_rows(n_chunks * _CHUNK, n_pixels)
    rows[:n_queries, :n_pixels] = queries
    offsets = rows.shape[1] * np.arange(_CHUNK)
    product = ByteProduct(rows, offsets, step=QUAD, quads=panels.shape[1], result_row=4 * PANEL)
    products = np.empty((count_parts(n_chunks, rows.size), _CHUNK, PANEL), np.int32)
    arguments = (product.fields, rows.shape[1], panels, products, lengths, positions, squared)
    in_parts(_search_chunks, n_chunks, rows.size, *arguments)
    squared += (256 * queries.sum(axis=1, dtype=np.int32) + 2**14 * n_pixels)[:, None]


@compiled
def _search_chunks(
    start: int,
    stop: int,
    part: int,
    fields: Any,
    row_bytes: int,
    panels: Any,
    products: Any,
    lengths: Any,
    positions: Any,
    squared: Any,
) -> None:
    """Look for some chunks of queries; their products with a panel are written to ``products``."""
    mine, product = products[part], fields.copy()
    product[C] = mine.ctypes.data
    for first in range(start * _CHUNK, stop * _CHUNK, _CHUNK):
        last = min(first + _CHUNK, len(squared))
        product[A] = fields[A] + first * row_bytes
        for panel in range(len(panels)):
            product[B] = panels[panel].ctypes.data
            multiply_bytes(product)
            begin = panel * PANEL
            near = lengths[begin : begin + PANEL]
            found = positions[first:last], squared[first:last]
            _keep_least(0, last - first, part, mine, near, begin, *found)


@compiled
def _keep_least(
    start: int,
    stop: int,
    part: int,
    products: Any,
    norms: Any,
    first: int,
    positions: Any,
    squared: Any,
) -> None:
    """Merge the images of a block, of which `first` is the first, into the rows' k nearest."""
    n_images, k = products.shape[1], positions.shape[1]
    for row in range(start, stop):
        furthest = squared[row, k - 1]
        for lane in range(0, n_images, _LANES):
            # Views that start at 0: indices that might be negative aren't vectorised.
            dots, lengths = products[row, lane : lane + _LANES], norms[lane : lane + _LANES]
            least = np.int32(2**31 - 1)
            for j in range(len(dots)):
                least = min(least, np.int32(lengths[j] - np.int32(2) * dots[j]))
            if least >= furthest:
                continue
            for j in range(len(dots)):
                distance = np.int32(lengths[j] - np.int32(2) * dots[j])
                if distance >= furthest:
                    continue
                place = k - 1
                while place > 0 and squared[row, place - 1] > distance:
                    squared[row, place] = squared[row, place - 1]
                    positions[row, place] = positions[row, place - 1]
                    place -= 1
                squared[row, place] = distance
                positions[row, place] = first + lane + j
                furthest = squared[row, k - 1]
