"""The page of a data set: what it contains, before any model is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from fittingroom.evaluation.examples import random_images
from fittingroom.reporting import data_figures, figures, images, words
from fittingroom.reporting.gallery import Captioned
from fittingroom.reporting.page import FigureCard, percent, render_page
from fittingroom.reporting.style import draw

if TYPE_CHECKING:
    from fittingroom.bench.explore import Exploration, ImageReference, NearDuplicates
    from fittingroom.data.dataset import Dataset

#: How many are shown: samples per class, random images, slides, pairs of near-duplicates.
SAMPLES, GRID, SLIDES, PAIRS = 10, 25, 60, 40


def render_data(exploration: Exploration, dataset: Dataset, command: str | None = None) -> str:
    """The whole page; equal data give byte-identical text."""
    data, train = exploration.description, dataset.train
    slides = np.linspace(0, len(train) - 1, min(SLIDES, len(train))).astype(int)
    shown = exploration.near_duplicates[:PAIRS]
    return render_page(
        "data.html",
        data=data,
        summary=words.data_summary(exploration),
        histogram=_histogram(exploration),
        first=_captioned(dataset, "train", 0),
        numbers=_numbers(np.asarray(train.images[0])),
        classes=_classes(exploration, dataset),
        random=[_captioned(dataset, "train", int(i)) for i in random_images(len(train), GRID)],
        walk="All images." if len(slides) == len(train) else f"{SLIDES} evenly spaced images.",
        slides=[_captioned(dataset, "train", int(i)) for i in slides],
        map=_map(exploration, dataset),
        neighbours=_neighbours(exploration),
        copies=words.copies(exploration),
        near_duplicates=[_near_duplicates(dataset, pair) for pair in shown],
        near_duplicates_finding=words.near_duplicates(exploration, len(shown)),
        searched=words.search_size(exploration),
        command=command,
    )


def _histogram(exploration: Exploration) -> FigureCard:
    data = exploration.description
    figure = data_figures.pixel_histogram(
        {"training": data.train.pixel_histogram, "test": data.test.pixel_histogram}
    )
    background = data.train.pixel_histogram[0] / sum(data.train.pixel_histogram)
    return draw(
        "Pixel value histogram",
        figure,
        f"Histogram of pixel values; {percent(background)} of the training pixels are 0.",
        "The upper axis shows the values as networks see them, divided by 255. The vertical axis "
        "is logarithmic.",
        finding=f"{background:.0%} of the training pixels are 0.",
    )


def _map(exploration: Exploration, dataset: Dataset) -> FigureCard:
    image_map = exploration.image_map
    labels = dataset.train.labels[image_map.positions]
    return draw(
        "2D embedding of the training images",
        data_figures.image_map(image_map, labels, exploration.description.class_names),
        f"{len(image_map.points):,} training images as points, by {image_map.method}; classes by "
        "colour.",
        f"{len(image_map.points):,} random images, placed by {image_map.method}. Similar images "
        "lie close together; classes that overlap look alike.",
    )


def _neighbours(exploration: Exploration) -> FigureCard:
    data, matrix = exploration.description, exploration.neighbours
    accuracy = matrix.report(data.class_names).accuracy
    sentence = matrix.hardest_sentence(words.short_names(data.class_names))
    return draw(
        "Nearest-neighbour confusion matrix",
        figures.confusion(matrix, data.class_names, "class of the nearest neighbour"),
        f"{percent(accuracy)} of the nearest neighbours are of the same class. {sentence}",
        "Rows are true classes, columns the class of the most similar other training image "
        "(Euclidean distance of pixels), in percent of the row.",
        finding=f"For {accuracy:.1%} of the training images, the most similar other image is of "
        f"the same class. {sentence} Classes that are confused here are hard for any model.",
    )


def _classes(exploration: Exploration, dataset: Dataset) -> list[dict[str, Any]]:
    names, train = exploration.description.class_names, dataset.train
    rows = []
    for label, name in enumerate(names):
        members = np.flatnonzero(train.labels == label)
        sample = members[random_images(len(members), SAMPLES, seed=label)]
        pictures = [_image(dataset, "train", int(i), name) for i in sample]
        row = {"name": name, "samples": Markup(" ").join(pictures), "mean": "–", "sd": "–"}
        if pictures:
            mean, sd = exploration.class_means[label], exploration.class_sds[label]
            row["mean"] = images.picture(np.round(mean).astype(np.uint8), f"mean of {name}")
            row["sd"] = images.picture(images.rescale(sd), f"standard deviation of {name}")
        rows.append(row)
    return rows


def _near_duplicates(dataset: Dataset, pair: NearDuplicates) -> dict[str, Any]:
    same = pair.first.label == pair.second.label
    return {
        "first": _captioned_with_split(dataset, pair.first),
        "second": _captioned_with_split(dataset, pair.second),
        "distance": pair.distance,
        "labels": "the same" if same else "different",
    }


def _captioned_with_split(dataset: Dataset, image: ImageReference) -> Captioned:
    captioned = _captioned(dataset, image.split, image.position)
    return Captioned(captioned.image, f"{image.split} {captioned.caption}")


def _captioned(dataset: Dataset, split: str, position: int) -> Captioned:
    label = int(getattr(dataset, split).labels[position])
    name = words.short_names(dataset.class_names)[label]
    return Captioned(_image(dataset, split, position, name), f"{position:,}: {name}")


def _image(dataset: Dataset, split: str, position: int, name: str) -> Markup:
    return images.picture(np.asarray(getattr(dataset, split).images[position]), name)


def _numbers(image: np.ndarray[Any, Any]) -> str:
    return "\n".join(" ".join(f"{pixel:3d}" for pixel in row) for row in image)
