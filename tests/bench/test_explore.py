from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from fittingroom.bench.explore import explore
from fittingroom.data.dataset import Dataset
from fittingroom.errors import DataError
from fittingroom.runs.copies import NEAR


def changed(small: Dataset, train: np.ndarray, test: np.ndarray) -> Dataset:
    """`small` with other images."""
    return Dataset.from_arrays(
        train, small.train.labels, test, small.test.labels, class_names=small.class_names
    )


def test_neighbours_are_the_nearest_other_images(small: Dataset) -> None:
    rows = small.train.images.reshape(len(small.train), -1).astype(np.float64)
    _, nearest = NearestNeighbors(n_neighbors=2).fit(rows).kneighbors(rows)
    expected = (small.train.labels[nearest[:, 1]] == small.train.labels).mean()
    exploration = explore(small)
    assert exploration.neighbours.report(small.class_names).accuracy == pytest.approx(
        expected, abs=0.01
    )
    assert exploration.neighbours.counts.sum() == len(small.train)


def test_each_image_has_its_nearest_training_images(small: Dataset) -> None:
    train, test = (
        split.images.reshape(len(split), -1).astype(np.float64)
        for split in (small.train, small.test)
    )
    exploration = explore(small)
    for split, rows, skipped in (("train", train[:200], 1), ("test", test[:200], 0)):
        distances, _ = NearestNeighbors(n_neighbors=3 + skipped).fit(train).kneighbors(rows)
        found = exploration.nearest[split]  # type: ignore[index]
        assert found.positions.shape == (len(getattr(small, split)), 3)
        np.testing.assert_allclose(found.distances[:200], distances[:, skipped:] / 28)
        of_positions = np.linalg.norm(rows[:, None] - train[found.positions[:200]], axis=2) / 28
        np.testing.assert_allclose(of_positions, found.distances[:200])


def test_the_map_shows_the_first_principal_components(small: Dataset) -> None:
    image_map = explore(small).image_map
    rows = small.train.images.reshape(len(small.train), -1)[image_map.positions].astype(np.float64)
    rows -= rows.mean(axis=0)
    axes = np.linalg.svd(rows, full_matrices=False)[2][:2]
    # The largest weight of each axis is positive, so that the map isn't mirrored on any machine.
    axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
    np.testing.assert_allclose(image_map.points, rows @ axes.T, rtol=1e-6, atol=1e-6)
    assert "variance" in image_map.method


def test_the_map_by_tsne_puts_classes_together(small: Dataset) -> None:
    train, test = small.train, small.test
    few = Dataset.from_arrays(
        train.images[::4], train.labels[::4], test.images[::4], test.labels[::4]
    )
    image_map = explore(few, tsne=True).image_map
    labels = few.train.labels[image_map.positions]
    _, nearest = NearestNeighbors(n_neighbors=2).fit(image_map.points).kneighbors(image_map.points)
    assert (labels[nearest[:, 1]] == labels).mean() > 0.6
    assert image_map.method.startswith("t-SNE")


def test_copies_and_near_duplicates_are_found(small: Dataset) -> None:
    train, test = small.train.images.copy(), small.test.images.copy()
    train[5] = train[90]
    test[3] = train[90]
    test[4] = np.where(train[200] < 250, train[200] + 3, 250)  # a little lighter
    exploration = explore(changed(small, train, test))
    before = explore(small)
    assert exploration.copies["train"] == before.copies["train"] + 1
    assert exploration.copies["between"] == before.copies["between"] + 1
    seen = {
        (pair.first.split, pair.first.position, pair.second.split, pair.second.position): pair
        for pair in exploration.near_duplicates
    }
    assert seen["train", 5, "train", 90].distance == 0
    assert seen["train", 5, "train", 90].where == "train"
    assert seen["test", 3, "train", 90].where == "between"
    assert 0 < seen["test", 4, "train", 200].distance <= 3
    assert list(exploration.near_duplicates) == sorted(
        exploration.near_duplicates, key=lambda pair: pair.distance
    )
    assert all(pair.distance <= NEAR for pair in exploration.near_duplicates)


def test_an_image_with_many_copies_is_not_its_own_neighbour(small: Dataset) -> None:
    train = small.train.images.copy()
    train[:20] = train[0]
    exploration = explore(changed(small, train, small.test.images))
    assert all(
        pair.first.position != pair.second.position or pair.where == "between"
        for pair in exploration.near_duplicates
    )
    assert exploration.copies["train"] >= 19


def test_stock_neighbours_are_the_fallback(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = explore(small)
    monkeypatch.setattr("fittingroom.models.nearest.can_search", lambda *_: False)
    stock = explore(small)
    assert np.abs(ours.neighbours.counts - stock.neighbours.counts).sum() <= 4
    assert [p.distance for p in ours.near_duplicates] == pytest.approx(
        [p.distance for p in stock.near_duplicates]
    )


def test_the_figures_are_json(small: Dataset) -> None:
    plain = json.loads(json.dumps(explore(small).to_dict(), allow_nan=False))
    assert plain["schema_version"] == 1
    assert plain["searched"] == {"train": len(small.train), "test": len(small.test)}
    assert 0 < plain["nearest_neighbour"]["accuracy"] < 1
    assert plain["train"]["images"] == len(small.train)


@pytest.mark.parametrize("tsne", [False, True])
@pytest.mark.parametrize("train", [2, 3, 5])
def test_a_handful_of_images(small: Dataset, train: int, tsne: bool) -> None:
    labels = np.arange(train) % 2
    data = Dataset.from_arrays(
        *(small.train.images[:train], labels, small.test.images[:1], [0]),
        class_names=["a", "b", "c"],
    )
    exploration = explore(data, tsne=tsne)
    assert np.isfinite(exploration.image_map.points).all()
    assert exploration.image_map.points.shape == (train, 2)
    assert exploration.neighbours.counts.sum() == train
    assert np.isnan(exploration.class_means[2]).all()  # no images, and no warning
    assert np.isfinite(exploration.class_means[:2]).all()


@pytest.mark.parametrize("tsne", [False, True])
def test_identical_images_have_a_map(small: Dataset, tsne: bool) -> None:
    same = np.repeat(small.train.images[:1], 6, axis=0)
    data = Dataset.from_arrays(same, np.arange(6) % 2, same[:1], [0], class_names=["a", "b"])
    exploration = explore(data, tsne=tsne)
    assert not exploration.image_map.points.any()
    assert exploration.copies == {"train": 5, "test": 0, "between": 1}


def test_a_single_training_image_is_rejected(small: Dataset) -> None:
    one = small.train.images[:1]
    data = Dataset.from_arrays(one, [0], one, [0], class_names=["a", "b"])
    with pytest.raises(DataError, match="a single training image"):
        explore(data)
