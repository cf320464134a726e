"""Our trees equal scikit-learn's to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier

from fittingroom.data.dataset import Dataset
from fittingroom.models.forest import can_grow, fit_forest


@pytest.fixture(scope="module")
def images(small: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """2,000 real images (n, 784) uint8 and their labels."""
    return small.train.images.reshape(2000, -1), small.train.labels.astype(np.int64)


def check_equal(ours: RandomForestClassifier, theirs: RandomForestClassifier) -> None:
    assert vars(ours).keys() == vars(theirs).keys() | {"_sample_weight"}  # which only 1.9 has
    assert len(ours.estimators_) == len(theirs.estimators_)
    for a, b in zip(ours.estimators_, theirs.estimators_, strict=True):
        assert vars(a).keys() == vars(b).keys()
        assert a.random_state == b.random_state
        mine, other = a.tree_.__getstate__(), b.tree_.__getstate__()
        assert (mine["node_count"], mine["max_depth"]) == (other["node_count"], other["max_depth"])
        for field in mine["nodes"].dtype.names:
            np.testing.assert_array_equal(mine["nodes"][field], other["nodes"][field], field)
        np.testing.assert_array_equal(mine["values"], other["values"])


@pytest.mark.parametrize(
    "options", [{}, {"max_depth": 1}, {"max_depth": 7}, {"random_state": 123}], ids=str
)
def test_the_trees_equal_scikit_learns(options: dict[str, Any], images: Any) -> None:
    forest = RandomForestClassifier(6, n_jobs=-1, **{"random_state": 0, **options})
    ours = fit_forest(clone(forest), *images)
    check_equal(ours, clone(forest).fit(images[0].astype(np.float32), images[1]))


def test_two_classes_few_images_and_constant_pixels(images: Any) -> None:
    pixels, codes = images
    pair = codes < 2
    few = (np.where(np.arange(784) < 700, 7, pixels[pair][:30]).astype(np.uint8), codes[pair][:30])
    few[0][10:14] = few[0][10]  # the same image with different labels can't be split
    few[1][10:14] = [0, 1, 0, 1]
    forest = RandomForestClassifier(20, random_state=5)
    check_equal(
        fit_forest(clone(forest), *few), clone(forest).fit(few[0].astype(np.float32), few[1])
    )


def test_large_nodes_are_counted_in_place(images: Any) -> None:
    """More than 1,000 different images are drawn, and noise takes every value."""
    noise = np.random.RandomState(0).randint(0, 256, (6000, 50)).astype(np.uint8)
    codes = (noise[:, 0] // 64).astype(np.int64) + (noise[:, 1] > 200)
    forest = RandomForestClassifier(2, random_state=1)
    check_equal(
        fit_forest(clone(forest), noise, codes), clone(forest).fit(noise.astype(np.float32), codes)
    )


def test_the_number_of_threads_changes_nothing(images: Any) -> None:
    forest = RandomForestClassifier(4, random_state=3)
    two, before = fit_forest(clone(forest), *images), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        check_equal(fit_forest(clone(forest), *images), two)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "options",
    [
        {"criterion": "entropy"},
        {"max_features": 5},
        {"bootstrap": False},
        {"min_samples_leaf": 2},
        {"class_weight": "balanced"},
        {"oob_score": True},
    ],
    ids=str,
)
def test_unsupported_parameters_are_left_to_scikit_learn(options: dict[str, Any]) -> None:
    assert not can_grow(RandomForestClassifier(**options), 60_000, 784, 10)


def test_sizes_that_do_not_suit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 32)
    assert can_grow(RandomForestClassifier(), 60_000, 784, 256)
    assert not can_grow(RandomForestClassifier(), 60_000, 784, 257)
    assert can_grow(RandomForestClassifier(), 300, 50_176, 2)
    assert not can_grow(RandomForestClassifier(), 1000, 50_176, 2)  # 1.5 GiB on 32 threads
