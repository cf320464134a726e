"""Training images, among which those nearest to a prepared picture are shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fittingroom.bundles.manifest import Facts
from fittingroom.data.dataset import Split
from fittingroom.data.sources import find_again
from fittingroom.runs.dataset_card import location_of

#: Bytes of training images that a server holds; of larger data sets it shows none.
MOST_BYTES = 2**29
#: Images compared at once: as float32 they stay in a processor's cache.
_BLOCK = 256


@dataclass(frozen=True, eq=False)
class Neighbour:
    """A training image near another image.

    Attributes
    ----------
    position : in the training split
    label : the name of its class
    distance : Euclidean, of pixels 0..255
    image : uint8 (height, width)
    """

    position: int
    label: str
    distance: float
    image: NDArray[np.uint8]


class TrainingImages:
    """The images of a training split, which aren't copied.

    `models.nearest` is faster for many images at once. For a single one it takes several times as
    long, and as much memory again.
    """

    def __init__(self, split: Split, class_names: tuple[str, ...]) -> None:
        self._images, self._labels, self._class_names = split.images, split.labels, class_names
        self._pixels = split.images.reshape(len(split), -1)
        self._norms = np.einsum("ij,ij->i", self._pixels, self._pixels, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._labels)

    def nearest(self, image: NDArray[np.uint8], k: int) -> list[Neighbour]:
        """The k nearest (all, if there are fewer) to `image` (height, width), nearest first."""
        query = image.ravel().astype(np.float32)
        products = np.empty(len(self), np.float32)
        for start in range(0, len(self), _BLOCK):
            rows = slice(start, start + _BLOCK)
            products[rows] = self._pixels[rows].astype(np.float32) @ query
        least = np.argpartition(self._norms - 2 * products, min(k, len(self)) - 1)[:k]
        differences = self._pixels[least].astype(np.int64) - image.ravel()
        squared = np.einsum("ij,ij->i", differences, differences)  # without rounding
        return [
            Neighbour(
                position=int(position),
                label=self._class_names[self._labels[position]],
                distance=math.sqrt(distance),
                image=self._images[position],
            )
            for distance, position in sorted(zip(squared.tolist(), least.tolist(), strict=True))
        ]


def find_training_images(facts: Facts, folder: Path) -> TrainingImages | None:
    """The training images of a saved model's data set, if that is found again unchanged.

    Parameters
    ----------
    folder : of the saved model; that of a run says where the data set was
    """
    data = facts.data
    if data.images * math.prod(facts.image_shape) > MOST_BYTES:
        return None
    found = find_again(data.name, location_of(folder), data.sha256)
    return None if found is None else TrainingImages(found.train, found.class_names)
