from __future__ import annotations

import re

import numpy as np
import pytest

from fittingroom.bench.explore import ImageMap
from fittingroom.data.dataset import Dataset
from fittingroom.reporting.data_plots import class_marks, embedding, pixel_histogram


def test_the_histogram_shows_shares_of_all_pixels(small: Dataset) -> None:
    splits = {"training": small.train, "test": small.test}
    counts = {
        name: np.bincount(split.images.ravel(), minlength=256).tolist()
        for name, split in splits.items()
    }
    svg = pixel_histogram(counts, "Histogram.")
    lines = re.findall(r'<polyline class="(\w+)" points="([^"]+)"', svg)
    assert [kind for kind, _ in lines] == ["blue", "dashed"]
    ticks = re.findall(r'y="([\d.]+)%" dy="4" text-anchor="end">([\d.]+)%<', svg)
    (low_at, low), (high_at, high) = [[*map(float, tick)] for tick in (ticks[0], ticks[-1])]
    for (_, points), split in zip(lines, splits.values(), strict=True):
        at = np.array([[*map(float, point.split(","))] for point in points.split()])
        assert at[:, 0] == pytest.approx(np.linspace(0, 100, 256), abs=0.01)
        position = (at[:, 1] - low_at) / (high_at - low_at)
        shares = low * (high / low) ** position / 100
        expected = np.bincount(split.images.ravel(), minlength=256) / split.images.size
        np.testing.assert_allclose(shares, expected, rtol=0.01)


def test_values_without_pixels_are_at_the_lower_end() -> None:
    counts = [0] * 256
    counts[7], counts[9] = 30, 10
    svg = pixel_histogram({"training": counts, "test": counts}, "Histogram.")
    assert svg.count("0.00,100.00 0.39,100.00 ") == 2


def test_the_embedding_has_a_mark_for_each_image() -> None:
    points = np.array([[-2.0, 5.0], [0.0, 6.0], [2.0, 7.0], [1.0, 5.5]])
    labels = np.array([0, 2, 2, 0])
    marks = class_marks(["a", "b", "<c>"])
    svg = embedding(ImageMap(np.arange(4), points, "drawn"), labels, marks, "Embedding.")
    groups = re.findall(r'<g data-class="(\d)" data-tip="([^"]+)" fill="([^"]+)">(.*?)</g>', svg)
    assert [group[:3] for group in groups] == [
        ("0", "a", marks[0].color),
        ("2", "&lt;c&gt;", marks[2].color),
    ]
    at = [
        re.findall(r'href="#mark-(\d)" x="([\d.]+)%" y="([\d.]+)%"', group[3]) for group in groups
    ]
    assert at == [
        [("0", "0.0", "100.0"), ("0", "75.0", "75.0")],
        [("2", "50.0", "50.0"), ("2", "100.0", "0.0")],
    ]


def test_identical_images_have_an_embedding() -> None:
    same = ImageMap(np.arange(3), np.zeros((3, 2)), "drawn")
    svg = embedding(same, np.zeros(3, int), class_marks(["a"]), "Embedding.")
    assert svg.count('x="0.0%" y="100.0%"') == 3


def test_no_two_of_many_classes_look_alike() -> None:
    marks = class_marks([str(number) for number in range(100)])
    assert len({(mark.color, mark.shape) for mark in marks}) == 100
    assert marks[0].shape != marks[10].shape
