from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from fittingroom.bench import explore as module
from fittingroom.bench.explore import NEAR, explore
from fittingroom.data.dataset import Dataset
from fittingroom.errors import DataError


def changed(small: Dataset, train: np.ndarray, test: np.ndarray) -> Dataset:
    """`small` with other images."""
    return Dataset.from_arrays(
        train, small.train.labels, test, small.test.labels, class_names=small.class_names
    )


def test_neighbours_are_the_nearest_other_images(small: Dataset) -> None:
    rows = small.train.images.reshape(len(small.train), -1).astype(np.float64)
    _, nearest = NearestNeighbors(n_neighbors=2).fit(rows).kneighbors(rows)
    expected = (small.train.labels[nearest[:, 1]] == small.train.labels).mean()
    found = explore(small)
    assert found.neighbours.report(small.class_names).accuracy == pytest.approx(expected, abs=0.01)
    assert found.neighbours.counts.sum() == len(small.train)


def test_the_map_shows_the_first_principal_components(small: Dataset) -> None:
    found = explore(small).image_map
    rows = small.train.images.reshape(len(small.train), -1)[found.positions].astype(np.float64)
    rows -= rows.mean(axis=0)
    axes = np.linalg.svd(rows, full_matrices=False)[2][:2]
    # The largest weight of each axis is positive, so that no machine mirrors the map.
    axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
    np.testing.assert_allclose(found.points, rows @ axes.T, rtol=1e-6, atol=1e-6)
    assert "variance" in found.method


def test_the_map_by_tsne_puts_classes_together(small: Dataset) -> None:
    train, test = small.train, small.test
    few = Dataset.from_arrays(
        train.images[::4], train.labels[::4], test.images[::4], test.labels[::4]
    )
    found = explore(few, tsne=True).image_map
    labels = few.train.labels[found.positions]
    _, nearest = NearestNeighbors(n_neighbors=2).fit(found.points).kneighbors(found.points)
    assert (labels[nearest[:, 1]] == labels).mean() > 0.6
    assert found.method.startswith("t-SNE")


def test_copies_and_near_copies_are_found(small: Dataset) -> None:
    train, test = small.train.images.copy(), small.test.images.copy()
    train[5] = train[90]
    test[3] = train[90]
    test[4] = np.where(train[200] < 250, train[200] + 3, 250)  # a little lighter
    found = explore(changed(small, train, test))
    before = explore(small)
    assert found.copies["train"] == before.copies["train"] + 1
    assert found.copies["between"] == before.copies["between"] + 1
    seen = {
        (pair.first.split, pair.first.position, pair.second.split, pair.second.position): pair
        for pair in found.twins
    }
    assert seen["train", 5, "train", 90].distance == 0
    assert seen["train", 5, "train", 90].where == "train"
    assert seen["test", 3, "train", 90].where == "between"
    assert 0 < seen["test", 4, "train", 200].distance <= 3
    assert list(found.twins) == sorted(found.twins, key=lambda pair: pair.distance)
    assert all(pair.distance <= NEAR for pair in found.twins)


def test_an_image_with_many_doubles_is_not_its_own_neighbour(small: Dataset) -> None:
    train = small.train.images.copy()
    train[:20] = train[0]
    found = explore(changed(small, train, small.test.images))
    assert all(
        pair.first.position != pair.second.position or pair.where == "between"
        for pair in found.twins
    )
    assert found.copies["train"] >= 19


def test_stock_neighbours_serve_where_ours_do_not(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = explore(small)
    monkeypatch.setattr(module, "can_search", lambda *_: False)
    stock = explore(small)
    assert np.abs(ours.neighbours.counts - stock.neighbours.counts).sum() <= 4
    assert [p.distance for p in ours.twins] == pytest.approx([p.distance for p in stock.twins])


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
    found = explore(data, tsne=tsne)
    assert np.isfinite(found.image_map.points).all()
    assert found.image_map.points.shape == (train, 2)
    assert found.neighbours.counts.sum() == train
    assert np.isnan(found.class_means[2]).all()  # of a class without images, without a warning
    assert np.isfinite(found.class_means[:2]).all()


@pytest.mark.parametrize("tsne", [False, True])
def test_images_that_are_all_the_same_have_a_map(small: Dataset, tsne: bool) -> None:
    same = np.repeat(small.train.images[:1], 6, axis=0)
    data = Dataset.from_arrays(same, np.arange(6) % 2, same[:1], [0], class_names=["a", "b"])
    found = explore(data, tsne=tsne)
    assert not found.image_map.points.any()
    assert found.copies == {"train": 5, "test": 0, "between": 1}


def test_a_single_training_image_is_refused(small: Dataset) -> None:
    one = small.train.images[:1]
    data = Dataset.from_arrays(one, [0], one, [0], class_names=["a", "b"])
    with pytest.raises(DataError, match="a single training image"):
        explore(data)
