"""The page of a data set: what it contains, before any model is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from fittingroom.evaluation.examples import random_images
from fittingroom.reporting import data_explorer, data_plots, data_words, heat_table, images, words
from fittingroom.reporting.gallery import Captioned
from fittingroom.reporting.heat_table import HeatTable, confusion_cells
from fittingroom.reporting.page import FigureCard, percent, render_page
from fittingroom.reporting.sprite import COLUMNS, Sprite

if TYPE_CHECKING:
    from fittingroom.bench.explore import Exploration, NearDuplicates, SplitName
    from fittingroom.data.dataset import Dataset

#: How many are shown without the script: samples per class, random images, near-duplicates.
SAMPLES, RANDOM, PAIRS = 10, 36, 24


def render_data(exploration: Exploration, dataset: Dataset, command: str | None = None) -> str:
    """The whole page; equal data give byte-identical text."""
    data, shown = exploration.description, _Pictures(dataset)
    searched = data_explorer.searched_images(dataset, exploration)
    pairs = data_explorer.pairs_to_show(exploration)
    explored = data_explorer.images_to_explore(searched, pairs, dataset.image_shape)
    for split, positions in searched.held(explored).items():
        shown.sprites[split].add(positions)
    first_finding, *findings = data_words.findings(exploration)
    random = np.sort(random_images(searched.n_train, RANDOM))
    values: dict[str, Any] = {
        "histogram": _histogram(exploration),
        "first": shown.captioned("train", 0),
        "numbers": _numbers(np.asarray(dataset.train.images[0])),
        "classes": _classes(exploration, dataset, shown),
        "random": [shown.captioned("train", int(position)) for position in random],
        "marks": data_plots.class_marks(words.short_names(data.class_names)),
        "map": _map(exploration, dataset),
        "neighbours": _neighbours(exploration),
        "pairs": [_pair(shown, pair) for pair in pairs[:PAIRS]],
    }
    return render_page(
        "data.html",
        "data_page.js",
        data=data,
        first_finding=first_finding,
        findings=findings,
        size=data_words.size(exploration),
        copies=data_words.copies(exploration),
        near_duplicates=data_words.near_duplicates(exploration),
        n_pairs=len(exploration.near_duplicates),
        searched=data_words.search_size(exploration),
        command=command,
        # Last, since what is shown has become tiles.
        payload={
            "classes": words.short_names(data.class_names),
            "images": data.train.images + data.test.images,
            "allPairs": len(exploration.near_duplicates),
            **data_explorer.payload(searched, explored, pairs, shown.sprites, COLUMNS),
        },
        tiles=Markup("\n").join(sprite.style() for sprite in shown.sprites.values()),
        **values,
    )


class _Pictures:
    """Images of both splits with their captions, as tiles of two pictures."""

    def __init__(self, dataset: Dataset) -> None:
        self._splits = {"train": dataset.train, "test": dataset.test}
        self._names = words.short_names(dataset.class_names)
        self.sprites: Mapping[SplitName, Sprite] = {
            "train": Sprite(np.asarray(dataset.train.images), "train"),
            "test": Sprite(np.asarray(dataset.test.images), "test"),
        }

    def captioned(self, split: SplitName, position: int) -> Captioned:
        """ "train 4,711: Shirt"."""
        name = self._names[int(self._splits[split].labels[position])]
        return Captioned(self.sprites[split].tile(position), f"{split} {position:,}: {name}")


def _histogram(exploration: Exploration) -> FigureCard:
    data = exploration.description
    background = data.train.pixel_histogram[0] / sum(data.train.pixel_histogram)
    return FigureCard(
        "Pixel value histogram",
        data_plots.pixel_histogram(
            {"training": data.train.pixel_histogram, "test": data.test.pixel_histogram},
            f"Histogram of pixel values; {percent(background)} of the training pixels are 0.",
        ),
        "Blue: training images; dashed: test images. Networks see the values divided by 255.",
        f"{background:.0%} of the training pixels are 0.",
    )


def _map(exploration: Exploration, dataset: Dataset) -> FigureCard:
    image_map = exploration.image_map
    marks = data_plots.class_marks(words.short_names(dataset.class_names))
    n = len(image_map.points)
    which = f"{n:,} random images" if n < len(dataset.train) else f"All {n:,} images"
    return FigureCard(
        "2D embedding of the training images",
        data_plots.embedding(
            image_map,
            dataset.train.labels[image_map.positions],
            marks,
            f"{n:,} training images as points, by {image_map.method}; classes by colour and shape.",
        ),
        f"{which}, placed by {image_map.method}. Similar images lie close together; classes that "
        "overlap look alike.",
    )


def _neighbours(exploration: Exploration) -> HeatTable | FigureCard:
    names, matrix = exploration.description.class_names, exploration.neighbours
    accuracy = matrix.report(names).accuracy
    title = "Nearest-neighbour confusion matrix"
    finding = (
        f"For {accuracy:.1%} of the training images, the most similar other image is of the same "
        f"class. {matrix.hardest_sentence(words.short_names(names))} Classes that are confused "
        "here are hard for any model."
    )
    caption = (
        "Rows are true classes, columns the class of the most similar other training image "
        "(Euclidean distance of pixels), in percent of the row. Blue is the same class."
    )
    if len(names) > heat_table.CLASSES:
        from fittingroom.reporting.figures import confusion_picture

        return FigureCard(title, confusion_picture(matrix, f"{title}."), caption, finding)
    return HeatTable(
        title=title,
        rows=names,
        columns=names,
        cells=confusion_cells(matrix, names, "nearest to"),
        caption=caption,
        corner="True class",
        finding=finding,
    )


def _classes(exploration: Exploration, dataset: Dataset, shown: _Pictures) -> list[dict[str, Any]]:
    data, labels = exploration.description, dataset.train.labels
    order = random_images(exploration.searched["train"], exploration.searched["train"])
    rows = []
    for label, name in enumerate(data.class_names):
        samples = order[labels[order] == label][:SAMPLES]
        row = {
            "name": name,
            "train": data.train.counts[name],
            "test": data.test.counts[name],
            "samples": [shown.captioned("train", int(position)).image for position in samples],
            "mean": "–",
            "sd": "–",
        }
        if len(samples):
            mean, sd = exploration.class_means[label], exploration.class_sds[label]
            row["mean"] = images.picture(np.round(mean).astype(np.uint8), f"mean of {name}")
            row["sd"] = images.picture(images.rescale(sd), f"standard deviation of {name}")
        rows.append(row)
    return rows


def _pair(shown: _Pictures, pair: NearDuplicates) -> dict[str, Any]:
    both = (pair.first, pair.second)
    return {
        "images": [shown.captioned(image.split, image.position) for image in both],
        "distance": pair.distance,
        "differs": pair.first.label != pair.second.label,
    }


def _numbers(image: np.ndarray[Any, Any]) -> str:
    return "\n".join(" ".join(f"{pixel:3d}" for pixel in row) for row in image)
