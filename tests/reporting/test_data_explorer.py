from __future__ import annotations

import base64
import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fittingroom.bench.explore import Exploration, ImageReference, NearDuplicates, SplitName
from fittingroom.data.dataset import Dataset
from fittingroom.reporting import data_explorer
from fittingroom.reporting.data_explorer import images_to_explore, pairs_to_show, searched_images
from fittingroom.reporting.sprite import Sprite

ROOM_FOR_800 = 800 * 28 * 28


def test_every_image_is_held_where_there_is_room(small: Dataset, exploration: Exploration) -> None:
    images = searched_images(small, exploration)
    explored = images_to_explore(images, [], (28, 28))
    np.testing.assert_array_equal(explored, np.arange(3000))


def test_a_page_holds_no_more_images_than_it_has_room_for(
    small: Dataset, exploration: Exploration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_explorer, "PIXELS", ROOM_FOR_800)
    images = searched_images(small, exploration)
    explored = images_to_explore(images, [], (28, 28))
    held = images.held(explored)
    assert 790 <= len(held["train"]) + len(held["test"]) <= 800
    neighbours = set(images.neighbours[explored].ravel().tolist())
    assert neighbours <= set(held["train"].tolist()), "the neighbours of each are held too"
    classes = np.bincount(images.labels[explored], minlength=10)
    assert classes.min() > 0, "each class has its turn"
    of_test = explored >= images.n_train
    assert 0.2 < of_test.mean() < 0.8, "and each split"
    farthest = images.distances[:2000, 0].argmax()
    assert farthest in explored, "the most unusual image is among them"


def test_images_of_pairs_come_first(
    doubled: Dataset, doubled_exploration: Exploration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_explorer, "PIXELS", 60 * 28 * 28)
    images = searched_images(doubled, doubled_exploration)
    pairs = pairs_to_show(doubled_exploration)
    explored = images_to_explore(images, pairs, (28, 28))
    places = [images.place(image) for pair in pairs for image in (pair.first, pair.second)]
    assert set(places) <= set(explored.tolist())


def test_of_many_pairs_each_kind_has_its_share(exploration: Exploration) -> None:
    def pair(number: int, split: Any, label: int, distance: float) -> NearDuplicates:
        first, second = ImageReference(split, number, 0), ImageReference("train", number + 1, label)
        return NearDuplicates(first, second, distance)

    many = [pair(number, "train", 0, 0.0) for number in range(500)]
    few = [pair(number, "test", 1, 7.0) for number in range(9)]
    shown = pairs_to_show(dataclasses.replace(exploration, near_duplicates=(*many, *few)))
    assert len(shown) == data_explorer.PAIRS
    assert shown[-9:] == few
    assert shown[:-9] == many[: data_explorer.PAIRS - 9], "nearest first"
    assert pairs_to_show(exploration) == []


def test_the_payload_names_images_by_their_tiles(
    doubled: Dataset, doubled_exploration: Exploration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_explorer, "PIXELS", ROOM_FOR_800)
    images = searched_images(doubled, doubled_exploration)
    pairs = pairs_to_show(doubled_exploration)
    explored = images_to_explore(images, pairs, (28, 28))
    sprites: dict[SplitName, Sprite] = {
        "train": Sprite(doubled.train.images),
        "test": Sprite(doubled.test.images),
    }
    for split, positions in images.held(explored).items():
        sprites[split].add(positions)
    payload = data_explorer.payload(images, explored, pairs, sprites, 64)

    def array(name: str, kind: str) -> NDArray[np.int64]:
        return np.frombuffer(base64.b64decode(payload[name]), kind).astype(np.int64)

    positions, labels = array("positions", "<u4"), array("labels", "<u2")
    is_test = np.arange(len(positions)) >= payload["trainTiles"]
    place = positions + 400 * is_test
    np.testing.assert_array_equal(labels, images.labels[place])
    np.testing.assert_array_equal(place[array("explored", "<u4")], explored)
    neighbours = place[array("neighbours", "<u4")].reshape(-1, payload["perImage"])
    np.testing.assert_array_equal(neighbours, images.neighbours[explored])
    distances = array("distances", "<u2").reshape(-1, payload["perImage"])
    np.testing.assert_allclose(distances / 100, images.distances[explored], atol=0.0051)
    ends = place[array("pairs", "<u4")].reshape(-1, 2)
    assert ends.tolist() == [[images.place(p.first), images.place(p.second)] for p in pairs]
    np.testing.assert_allclose(
        array("pairDistances", "<u2") / 100, [p.distance for p in pairs], atol=0.0051
    )
