"""Find exact copies: test images that a model may have seen, or that count as one."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.dataset import Dataset
from fittingroom.data.mapped import pieces


def copied_test_images(dataset: Dataset) -> int:
    """How many of the test images are training images too, pixel for pixel.

    Takes a third of a second for 70,000 images of 28×28; a mapped file isn't read into memory.
    """
    test = list(_digests(dataset.test.images))
    distinct = set(test)
    copied = {digest for digest in _digests(dataset.train.images) if digest in distinct}
    return sum(digest in copied for digest in test)


def repeated_images(images: NDArray[np.uint8]) -> tuple[tuple[int, ...], ...]:
    """Positions of identical images, one group for each image that is repeated."""
    groups: dict[bytes, list[int]] = {}
    for position, digest in enumerate(_digests(images)):
        groups.setdefault(digest, []).append(position)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _digests(images: NDArray[np.uint8]) -> Iterator[bytes]:
    """A hash of 16 bytes of each image's pixels."""
    for piece in pieces(images):
        for image in piece:
            yield blake2b(image, digest_size=16).digest()
