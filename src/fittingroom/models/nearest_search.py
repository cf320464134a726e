"""Search for the nearest of many images: products by PyTorch, the least by a compiled kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fittingroom.kernels.compiled import compiled, in_parts
from fittingroom.models.byte_products import are_exact

# Images compared at once: products of 48 MB. Between smaller ones torch's threads fall asleep, and
# waking them takes longer than the products.
_QUERIES, _BLOCK = 2000, 6000
_LANES = 64  # products processed together


def search(
    queries: NDArray[np.int8], images: NDArray[np.int8], norms: NDArray[np.int32], k: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
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
    by_bytes = are_exact(images.shape[1])
    for start in range(0, len(queries), _QUERIES):
        rows = slice(start, start + _QUERIES)
        some = torch.from_numpy(queries[rows])
        memory = torch.empty(len(some) * _BLOCK, dtype=torch.int32)  # reused: new pages are slow
        for first in range(0, len(images), _BLOCK):
            block = torch.from_numpy(images[first : first + _BLOCK])
            products = memory[: len(some) * len(block)].view(len(some), len(block))
            if by_bytes:
                torch._int_mm(some, block.T, out=products)
            else:  # exact as well, and slower
                products.copy_(some.float() @ block.float().T)
            arguments = (products.numpy(), norms[first : first + _BLOCK], first)
            kernel = (_keep_least, len(some), products.numel())
            in_parts(*kernel, *arguments, positions[rows], squared[rows])
    return positions, squared


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
