"""Find copies, exact or nearly: test images that a model may have seen, or that count as one."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.dataset import Dataset
from fittingroom.data.mapped import MappedRows, memory_map, pieces

#: Near copies have at most this root mean square difference of the pixels, in 0..255.
NEAR = 8.0
#: Most images of a split among which near ones are searched, and most pixels of all of them; of a
#: larger split the first ones.
MAX_SEARCHED, MAX_PIXELS = 60_000, 2**27
_BLOCK = 2**22  # pixels that are compared at a time
_CACHED = 256  # images that are hashed at a time, without new memory
_PIECE = 4096  # images of a memory map that are read at a time
#: Test images that `compare` looks up among the training images.
SAMPLED = 1000


def searched(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The images (n, height, width) of a split among which near ones are searched, in memory."""
    pixels = int(np.prod(images.shape[1:]))
    return np.asarray(images[: max(1, min(MAX_SEARCHED, MAX_PIXELS // pixels))])


def nearly_copied_share(dataset: Dataset) -> float:
    """The share of the test images that are nearly, but not exactly, training images.

    Of at most `SAMPLED` test images, evenly spaced, and the training images that are `searched`.
    """
    train = searched(dataset.train.images)
    sampled = np.linspace(0, len(dataset.test) - 1, min(SAMPLED, len(dataset.test))).astype(int)
    queries = np.asarray(dataset.test.images[sampled])
    train, queries = (images.reshape(len(images), -1) for images in (train, queries))
    difference = np.sqrt(_least_squared(train, queries) / train.shape[1])
    return float(np.mean((difference > 0) & (difference <= NEAR)))


def _least_squared(images: NDArray[np.uint8], queries: NDArray[np.uint8]) -> NDArray[Any]:
    """The squared distance (m,) of each of `queries` (m, pixels) to the nearest of `images`.

    Exact where it is small. `models.nearest` takes a third of the time, but seconds to import.
    """
    # Sums of up to 1024 products of -128..127 are whole numbers that float32 holds.
    kind: type[np.float32 | np.float64] = np.float32 if images.shape[1] <= 1024 else np.float64
    centred: NDArray[Any] = queries.astype(kind) - 128
    least = np.full(len(queries), np.inf, kind)
    rows = max(1, _BLOCK // images.shape[1])
    for start in range(0, len(images), rows):
        block: NDArray[Any] = images[start : start + rows].astype(kind) - 128
        squared = np.square(block).sum(axis=1) - 2 * (centred @ block.T)
        np.minimum(least, squared.min(axis=1), out=least)
    least += np.square(centred).sum(axis=1)
    return least.clip(min=0)  # rounding, where it isn't exact


def copied_test_images(dataset: Dataset) -> int:
    """How many of the test images are training images too, pixel for pixel.

    A mapped file isn't read into memory.
    """
    train, test = (_hashes(part.images) for part in (dataset.train, dataset.test))
    seen = set(_digests(dataset.train.images, np.isin(train, test)))
    return sum(digest in seen for digest in _digests(dataset.test.images, np.isin(test, train)))


def repeated_images(images: NDArray[np.uint8]) -> tuple[tuple[int, ...], ...]:
    """Positions of identical images, one group for each image that is repeated."""
    _, kind, times = np.unique(_hashes(images), return_inverse=True, return_counts=True)
    candidates = times[kind] > 1
    digests = zip(np.flatnonzero(candidates).tolist(), _digests(images, candidates), strict=True)
    groups: dict[bytes, list[int]] = {}
    for position, digest in digests:
        groups.setdefault(digest, []).append(position)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _hashes(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A number (n,) of each image: different ones may have the same, but hardly any have.

    In a tenth of the time that `_digests` takes: a weighted sum of its words of eight pixels.
    """
    n_pixels = int(np.prod(images.shape[1:]))
    words = -(-n_pixels // 8)
    weights = np.random.default_rng(0).integers(0, 2**64, words, np.uint64) | np.uint64(1)
    rows = np.zeros((_CACHED, 8 * words), np.uint8)
    found = []
    for piece in pieces(images):
        for start in range(0, len(piece), _CACHED):
            some = piece[start : start + _CACHED]
            rows[: len(some), :n_pixels] = some.reshape(len(some), -1)
            weighted = rows[: len(some)].view(np.uint64) * weights
            found.append(weighted.sum(axis=1, dtype=np.uint64))
    return np.concatenate(found)


def _digests(images: NDArray[np.uint8], chosen: NDArray[np.bool_]) -> Iterator[bytes]:
    """A hash of 16 bytes of the pixels of each chosen image."""
    index = np.flatnonzero(chosen)
    rows = images[index] if memory_map(images) is None else MappedRows(images, index)
    for start in range(0, len(index), _PIECE):
        for image in rows[start : start + _PIECE]:
            yield blake2b(image, digest_size=16).digest()
