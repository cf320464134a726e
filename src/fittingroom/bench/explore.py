"""Explore a data set before any model: figures, samples, neighbours, duplicates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from fittingroom.data.dataset import Dataset
from fittingroom.data.describe import DatasetDescription, describe
from fittingroom.errors import DataError
from fittingroom.evaluation.confusion import ConfusionMatrix, confusion_matrix
from fittingroom.models.nearest import nearest_images
from fittingroom.runs.copies import NEAR, searched

SCHEMA_VERSION = 1

#: Most images on the map.
MAPPED = 5_000
#: Neighbours of each image; one more is searched for, since an image is found among its own split.
NEIGHBOURS = 3

SplitName = Literal["train", "test"]


@dataclass(frozen=True)
class ImageReference:
    """An image of the data set."""

    split: SplitName
    position: int
    label: int


@dataclass(frozen=True)
class NearDuplicates:
    """Two images that are identical, or nearly.

    `distance` is the root mean square difference of their pixels, in 0..255; 0 if identical.
    """

    first: ImageReference
    second: ImageReference
    distance: float

    @property
    def where(self) -> str:
        """The split of both images, "train" or "test"; "between" if they are in different ones."""
        splits = {self.first.split, self.second.split}
        return "between" if len(splits) == 2 else self.first.split


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The images nearest to each of n images.

    `positions` (n, k) in their split, nearest first, and `distances` (n, k), root mean square
    differences of the pixels, in 0..255.
    """

    positions: NDArray[np.int64]
    distances: NDArray[np.float64]

    def first(self, k: int) -> Neighbours:
        """The k nearest of them."""
        return Neighbours(self.positions[:, :k], self.distances[:, :k])


@dataclass(frozen=True, eq=False)
class ImageMap:
    """Some training images as points of a plane.

    `positions` (n,) in the training split, `points` (n, 2), and the `method` of projection.
    """

    positions: NDArray[np.int64]
    points: NDArray[np.float64]
    method: str


@dataclass(frozen=True, eq=False)
class Exploration:
    """A data set, explored without a model.

    Attributes
    ----------
    class_means, class_sds : (classes, height, width), of the training images' pixels, 0..255; NaN
        for a class without training images
    copies : numbers of exact copies: "train" and "test" within the split, "between" test images
        that are training images too
    near_duplicates : pairs of images, nearest first; of an image at most those with its three
        nearest
    neighbours : the searched training images classified by their nearest other one
    nearest : of each searched image of a split, the three nearest other training images
    near : the largest distance of near duplicates
    searched : how many images of each split were searched for neighbours
    """

    description: DatasetDescription
    class_means: NDArray[np.float64]
    class_sds: NDArray[np.float64]
    image_map: ImageMap
    copies: dict[str, int]
    near_duplicates: tuple[NearDuplicates, ...]
    neighbours: ConfusionMatrix
    nearest: Mapping[SplitName, Neighbours]
    searched: dict[SplitName, int]
    near: float = NEAR

    def to_dict(self) -> dict[str, Any]:
        """The figures, without pixels."""
        return {
            **self.description.to_dict(),
            "schema_version": SCHEMA_VERSION,
            "searched": dict(self.searched),
            "nearest_neighbour": {
                "accuracy": self.neighbours.report(self.description.class_names).accuracy,
                **self.neighbours.to_dict(),
            },
            "copies": dict(self.copies),
            "twins": [
                {
                    "first": vars(pair.first),
                    "second": vars(pair.second),
                    "distance": round(pair.distance, 3),
                    "where": pair.where,
                }
                for pair in self.near_duplicates
            ],
        }


def explore(dataset: Dataset, *, tsne: bool = False, seed: int = 0) -> Exploration:
    """Explore a data set: its pixels, classes, neighbours and duplicates.

    Test labels are counted and shown beside their images, but nothing is chosen by them: the map
    and the neighbours' classes are of training images only.

    Parameters
    ----------
    tsne : project the map by t-SNE (van der Maaten and Hinton 2008) instead of by the first two
        principal components; takes half a minute
    seed : of the images drawn for the map, and of t-SNE

    Raises
    ------
    DataError : there is only one training image, so it has no neighbour
    """
    if len(dataset.train) == 1:
        raise DataError(
            f"{dataset.name} has a single training image, so there are no neighbours to search for."
        )
    train, test = (searched(split.images) for split in (dataset.train, dataset.test))
    train_rows, test_rows = (images.reshape(len(images), -1) for images in (train, test))
    labels = dataset.train.labels[: len(train)]
    within, between = _nearest(train_rows, train_rows), _nearest(train_rows, test_rows)
    searches: list[tuple[SplitName, SplitName, Neighbours]] = [
        ("train", "train", within),
        ("test", "train", between),
        ("test", "test", _nearest(test_rows, test_rows)),
    ]
    others = _without_self(within)
    means, sds = _class_pixels(train, labels, dataset.n_classes)
    return Exploration(
        description=describe(dataset),
        class_means=means,
        class_sds=sds,
        image_map=_image_map(train_rows, tsne, seed),
        copies=_copies(train_rows, test_rows),
        near_duplicates=_near_duplicates(dataset, searches),
        neighbours=confusion_matrix(labels[others.positions[:, 0]], labels, dataset.n_classes),
        nearest={"train": others, "test": between.first(NEIGHBOURS)},
        searched={"train": len(train), "test": len(test)},
    )


def _nearest(images: NDArray[np.uint8], queries: NDArray[np.uint8]) -> Neighbours:
    positions, distances = nearest_images(images, queries, NEIGHBOURS + 1)
    return Neighbours(positions, distances / images.shape[1] ** 0.5)


def _without_self(neighbours: Neighbours) -> Neighbours:
    """Each image's neighbours, the image itself removed.

    An image with more exact copies than neighbours may be missing; then the last one is removed.
    """
    positions = neighbours.positions
    itself = positions == np.arange(len(positions))[:, None]
    itself[~itself.any(axis=1), -1] = True
    of_others = [values[~itself] for values in (positions, neighbours.distances)]
    return Neighbours(*(values.reshape(len(positions), -1) for values in of_others))


def _near_duplicates(
    dataset: Dataset, searches: list[tuple[SplitName, SplitName, Neighbours]]
) -> tuple[NearDuplicates, ...]:
    splits = {"train": dataset.train, "test": dataset.test}
    pairs = []
    for of_queries, of_images, neighbours in searches:
        distances = neighbours.distances
        for query, column in zip(*np.nonzero(distances <= NEAR), strict=True):
            other = int(neighbours.positions[query, column])
            if of_queries == of_images and other <= query:  # itself, or seen from the other side
                continue
            first, second = (
                ImageReference(split, int(position), int(splits[split].labels[position]))
                for split, position in ((of_queries, query), (of_images, other))
            )
            pairs.append(NearDuplicates(first, second, float(distances[query, column])))
    return tuple(sorted(pairs, key=lambda pair: pair.distance))


def _class_pixels(
    images: NDArray[np.uint8], labels: NDArray[np.int64], n_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    means = np.full((n_classes, *images.shape[1:]), np.nan)
    sds = means.copy()
    for label in np.unique(labels):
        of_class = images[labels == label]
        means[label], sds[label] = of_class.mean(axis=0), of_class.std(axis=0)
    return means, sds


def _image_map(rows: NDArray[np.uint8], tsne: bool, seed: int) -> ImageMap:
    """Project drawn images to two principal components, or fifty components by t-SNE."""
    indices = np.sort(np.random.default_rng(seed).permutation(len(rows))[:MAPPED])
    pca = PCA(min(50, len(indices), rows.shape[1]), svd_solver="covariance_eigh")
    with np.errstate(invalid="ignore"):  # identical images have no variance to explain
        components = pca.fit_transform(rows[indices].astype(np.float64))
    has_variance = pca.explained_variance_[0] > 0
    if components.shape[1] < 2:  # images of one pixel
        components = np.pad(components, ((0, 0), (0, 1)))
    if not tsne or not has_variance:  # t-SNE can't map identical images
        share = pca.explained_variance_ratio_[:2].sum() if has_variance else 1.0
        points, method = components[:, :2], f"the first two principal components, {share:.0%} of"
        return ImageMap(indices, points, f"{method} the variance")
    perplexity = min(30.0, (len(indices) - 1) / 3)
    points = TSNE(random_state=seed, perplexity=perplexity).fit_transform(components)
    return ImageMap(indices, points.astype(np.float64), f"t-SNE, perplexity {perplexity:g}")


def _copies(train: NDArray[np.uint8], test: NDArray[np.uint8]) -> dict[str, int]:
    """Count exact copies within each split, and of training images among the test images."""
    train_bytes, test_bytes = ([image.tobytes() for image in images] for images in (train, test))
    unique_train = set(train_bytes)
    return {
        "train": len(train_bytes) - len(unique_train),
        "test": len(test_bytes) - len(set(test_bytes)),
        "between": sum(image in unique_train for image in test_bytes),
    }
