from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import numpy as np
import pytest

from fittingroom.bench.explore import Exploration, explore
from fittingroom.data.dataset import Dataset
from fittingroom.reporting.data_page import GRID, SAMPLES, SLIDES, render_data
from fittingroom.reporting.images import data_uri


@pytest.fixture(scope="module")
def exploration(small: Dataset) -> Exploration:
    return explore(small)


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_the_page_shows_the_data(exploration: Exploration, small: Dataset) -> None:
    html = render_data(exploration, small, "fittingroom data small --report x.html")
    text = text_of(html)
    assert "2,000 training and 1,000 test images" in text
    assert "in 10 classes, with 200 training images per class." in text
    for name in small.class_names:
        assert name in text
    first = " ".join(str(pixel) for pixel in small.train.images[0].ravel())
    assert first in text
    assert "fittingroom data small --report x.html" in text
    assert "the most similar other image is of the same class" in text
    n_images = html.count("<img ")
    shown = min(len(exploration.near_duplicates), 40)
    assert n_images == 1 + 10 * (SAMPLES + 2) + GRID + SLIDES + 2 * shown
    assert len(html.encode()) < 5_000_000
    assert "http" not in html.replace("http-equiv", "")


def test_the_page_holds_the_images_of_the_data_set(
    exploration: Exploration, small: Dataset
) -> None:
    html = render_data(exploration, small)
    first = re.search(r'<img class="pixels" src="([^"]+)"', html)
    assert first is not None
    assert first[1] == data_uri(small.train.images[0])


def test_rendering_is_deterministic(exploration: Exploration, small: Dataset) -> None:
    assert render_data(exploration, small) == render_data(exploration, small)


def test_names_are_escaped(small: Dataset) -> None:
    names = ('<script>alert("x")</script>', "$x$", "&", "n" * 200, *"efghij")
    hostile = Dataset.from_arrays(
        small.train.images,
        small.train.labels,
        small.test.images,
        small.test.labels,
        class_names=names,
    )
    html = render_data(explore(hostile), hostile)
    assert html.count("<script") == 1
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("n_classes", [2, 47])
def test_few_and_many_classes(n_classes: int) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(n_classes * 12) % n_classes
    pixels = random.integers(0, 256, (len(labels), 9, 13))
    data = Dataset.from_arrays(pixels, labels, pixels[:n_classes], labels[:n_classes])
    html = render_data(explore(data), data)
    assert f"in {n_classes} classes" in text_of(html)
    assert explore(data).copies["between"] == n_classes


def test_few_images_and_a_class_without_any(some_of: Callable[..., Dataset]) -> None:
    data = some_of({0: 3, 2: 2}, {0: 1})
    html = render_data(explore(data), data)
    text = text_of(html)
    assert "Trouser no training images – –" in text
    assert "with 0 to 3 training images per class" in text
    assert "Browse the training images All images." in text
    assert html.count("<img ") == 1 + (3 + 2) + 2 * 2 + 5 + 5  # first, samples, means, random, walk
    more = some_of({0: 31, 1: 30}, {0: 1})
    assert "60 evenly spaced images." in text_of(render_data(explore(more), more))
