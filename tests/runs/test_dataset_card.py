from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError
from fittingroom.runs.dataset_card import CARD, DatasetCard
from fittingroom.runs.store import find_store, open_store


def test_a_card_of_an_earlier_version_is_read_and_completed(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path, small)
    card = json.loads((store.folder / "dataset.json").read_text())
    assert (card.pop("copied_test_images"), card.pop("untrained_classes")) == (0, [])
    (store.folder / "dataset.json").write_text(json.dumps(card))
    assert find_store(tmp_path).card.copied_test_images is None  # not counted
    assert open_store(tmp_path, small).card == find_store(tmp_path).card == store.card

    def again(_: Dataset) -> int:
        raise AssertionError("what is known of the same data isn't counted again")

    monkeypatch.setattr("fittingroom.runs.dataset_card.copied_test_images", again)
    assert open_store(tmp_path, small).card == store.card


def test_a_damaged_card_is_written_again(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    for damaged in ("{", "[]", '{"name": "x"}'):
        (store.folder / "dataset.json").write_text(damaged)
        with pytest.raises(StoreError, match="can't be read"):
            find_store(tmp_path)
        assert open_store(tmp_path, small).card == store.card


def test_a_cards_title_is_not_trusted(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    card = json.loads((store.folder / "dataset.json").read_text())
    for name in ("fashion-mnist", "Fashion_MNIST", "Fashion\u2010MNIST"):
        (store.folder / "dataset.json").write_text(
            json.dumps({**card, "title": "Fashion-MNIST", "name": name})
        )
        found = find_store(tmp_path).card
        assert (found.name, found.title) == ("other-fashion-mnist", "other-fashion-mnist")


def test_a_card_of_a_newer_version_is_kept(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    newer = (store.folder / "dataset.json").read_text().replace('_version": 1', '_version": 2')
    newer = newer.replace('"title": ', '"titles": ')
    (store.folder / "dataset.json").write_text(newer)
    with pytest.raises(StoreError, match="was written by a newer version"):
        open_store(tmp_path, small)
    with pytest.raises(StoreError, match="was written by a newer version"):
        find_store(tmp_path)
    assert (store.folder / "dataset.json").read_text() == newer


def test_copies_among_the_test_images_have_the_same_number(some_of: Callable[..., Dataset]) -> None:
    data = some_of({0: 40, 1: 40}, {0: 50, 1: 50})
    images = np.concatenate([data.test.images] * 2)
    labels = np.concatenate([data.test.labels] * 2)
    doubled = Dataset.from_arrays(
        data.train.images, data.train.labels, images, labels, class_names=data.class_names
    )
    copies = DatasetCard.of(doubled, None).copies
    assert copies is not None
    np.testing.assert_array_equal(copies, np.tile(np.arange(100), 2))
    assert DatasetCard.of(data, None).copies is None


@pytest.mark.parametrize("groups", [[[0, 1000]], [[-1, 3]], [[3, 4], []]])
def test_copies_of_images_that_do_not_exist_are_refused(
    small: Dataset, tmp_path: Path, groups: list[list[int]]
) -> None:
    folder = open_store(tmp_path, small).folder
    card = json.loads((folder / CARD).read_text())
    assert DatasetCard.read(folder / CARD).copies is None
    at_the_ends = {**card, "repeated_test_images": [[0, 999]]}
    (folder / CARD).write_text(json.dumps(at_the_ends))
    copies = DatasetCard.read(folder / CARD).copies
    assert copies is not None
    assert copies[[0, 1, 999]].tolist() == [0, 1, 0]
    (folder / CARD).write_text(json.dumps({**card, "repeated_test_images": groups}))
    with pytest.raises(StoreError, match="its copies are of images that don't exist"):
        DatasetCard.read(folder / CARD)


def test_near_copies_are_searched_for_where_that_is_asked_for(
    small: Dataset, tmp_path: Path
) -> None:
    assert open_store(tmp_path, small).card.nearly_copied_share is None
    searched = open_store(tmp_path, small, search_near=True).card
    assert searched.nearly_copied_share is not None
    assert open_store(tmp_path, small).card == searched  # and kept
