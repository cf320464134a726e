"""The images and near-duplicates that a page of a data set holds, for readers to explore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.evaluation.examples import random_images
from fittingroom.reporting.explorer import packed

if TYPE_CHECKING:
    from fittingroom.bench.explore import Exploration, ImageReference, NearDuplicates, SplitName
    from fittingroom.data.dataset import Dataset
    from fittingroom.reporting.sprite import Sprite

#: The most bytes of pixels, so that a page of small images stays below 6 MB.
PIXELS = 4_000_000
#: The most near-duplicates, and as many as there may be of images that are too large for that.
PAIRS, LEAST_PAIRS = 200, 40
#: Of random images of a class there are so many times as many as of others.
_RANDOM = 4


@dataclass(frozen=True, eq=False)
class Searched:
    """The images of both splits among which neighbours were searched, training images first.

    Attributes
    ----------
    n_train : how many are training images
    labels : (n,)
    neighbours, distances : (n, k), the nearest training images, nearest first
    """

    n_train: int
    labels: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    distances: NDArray[np.float64]

    def place(self, image: ImageReference) -> int:
        """The place of an image of the data set."""
        return image.position + self.n_train * (image.split == "test")

    def held(self, explored: NDArray[np.int64]) -> dict[SplitName, NDArray[np.int64]]:
        """Positions in each split of the images at these places (e,), and of their neighbours."""
        is_test = explored >= self.n_train
        train = np.append(explored[~is_test], self.neighbours[explored])
        return {"train": np.unique(train), "test": explored[is_test] - self.n_train}


def searched_images(dataset: Dataset, exploration: Exploration) -> Searched:
    """Both splits' labels and neighbours, one after the other."""
    n, nearest = exploration.searched, exploration.nearest
    k = min(found.positions.shape[1] for found in nearest.values())
    both = [nearest["train"].first(k), nearest["test"].first(k)]
    return Searched(
        n["train"],
        np.concatenate([dataset.train.labels[: n["train"]], dataset.test.labels[: n["test"]]]),
        np.concatenate([found.positions for found in both]),
        np.concatenate([found.distances for found in both]),
    )


def _most_tiles(image_shape: tuple[int, int]) -> int:
    """How many images a page may hold."""
    height, width = image_shape
    return PIXELS // (height * width)


def pairs_to_show(exploration: Exploration) -> list[NearDuplicates]:
    """Near-duplicates, nearest first.

    If they are too many, each kind has its share: within a split or between, of the same class or
    not.
    """
    pairs = exploration.near_duplicates
    kinds = [("train", "test", "between").index(pair.where) for pair in pairs]
    same = [pair.first.label == pair.second.label for pair in pairs]
    groups = 2 * np.array(kinds, np.int64) + np.array(same, np.int64)
    at_most = max(LEAST_PAIRS, min(PAIRS, _most_tiles(exploration.description.shape) // 20))
    ranks = _ranks(groups, np.arange(len(pairs)))
    return [pairs[i] for i in np.sort(np.argsort(ranks, kind="stable")[:at_most])]


def images_to_explore(
    images: Searched, pairs: Sequence[NearDuplicates], image_shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Places (e,) of the images that a reader may open, in their order.

    The page holds them and their neighbours, as many as there is room for. First come those of
    `pairs`, then by turns random images of each class and split, the most unusual ones (those
    farthest from their nearest neighbour), and those of each class whose nearest neighbour is of
    each other one.
    """
    n, n_classes = len(images.labels), int(images.labels.max()) + 1
    nearest, is_test = images.neighbours[:, 0], np.arange(n) >= images.n_train
    shuffled, unusual = random_images(n, n), np.argsort(-images.distances[:, 0], kind="stable")
    of_class = 2 * images.labels + is_test
    of_cell = of_class * n_classes + images.labels[nearest]
    ranks = np.minimum.reduce(
        [_ranks(of_class, shuffled) / _RANDOM, _ranks(of_class, unusual), _ranks(of_cell, shuffled)]
    )
    places = [images.place(image) for pair in pairs for image in (pair.first, pair.second)]
    order = np.array([*places, *shuffled[np.argsort(ranks[shuffled], kind="stable")]], np.int64)
    order = order[np.sort(np.unique(order, return_index=True)[1])]
    held = np.column_stack([order, images.neighbours[order]])  # (n, 1 + k)
    _, first = np.unique(held, return_index=True)
    n_held = np.cumsum(np.bincount(first // held.shape[1], minlength=n))
    return np.sort(order[n_held <= _most_tiles(image_shape)])


def _ranks(groups: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each one's rank (n,) among those of its group, in an order of all."""
    together = order[np.argsort(groups[order], kind="stable")]
    of_group = groups[together]
    ranks = np.empty(len(groups), np.int64)
    ranks[together] = np.arange(len(groups)) - np.searchsorted(of_group, of_group)
    return ranks


def payload(
    images: Searched,
    explored: NDArray[np.int64],
    pairs: Sequence[NearDuplicates],
    sprites: Mapping[SplitName, Sprite],
    columns: int,
) -> dict[str, Any]:
    """What the page's script reads: arrays are base64 of little-endian numbers.

    An image is named by its tile, those of the training split first. Distances are in hundredths.

    Parameters
    ----------
    explored : (e,) places of the images that a reader may open
    columns : of the pictures of all tiles
    """
    train, test = sprites["train"].positions, sprites["test"].positions
    places = np.concatenate([train, images.n_train + test])
    tiles = np.zeros(len(images.labels), np.int64)
    tiles[places] = np.arange(len(places))
    ends = [[images.place(pair.first), images.place(pair.second)] for pair in pairs]
    return {
        "columns": columns,
        "trainTiles": len(train),
        "positions": packed(np.concatenate([train, test]), "<u4"),
        "labels": packed(images.labels[places], "<u2"),
        "explored": packed(tiles[explored], "<u4"),
        "perImage": images.neighbours.shape[1],
        "neighbours": packed(tiles[images.neighbours[explored]], "<u4"),
        "distances": packed(np.round(100 * images.distances[explored]), "<u2"),
        "pairs": packed(tiles[np.array(ends, np.int64)], "<u4"),
        "pairDistances": packed(np.round(100 * np.array([p.distance for p in pairs])), "<u2"),
    }
