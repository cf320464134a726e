from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fittingroom.data import load_dataset
from fittingroom.data.dataset import Split
from fittingroom.data.splits import fold_of, hold_out_test, validation_split
from fittingroom.errors import DataError

BALANCED = np.random.RandomState(3).permutation(np.repeat(np.arange(10), 6000))
MNIST_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def counts(labels: np.ndarray, part: np.ndarray) -> list[int]:
    return [*map(int, np.bincount(labels[part], minlength=labels.max() + 1))]


def test_sixty_thousand_balanced_labels() -> None:
    split = validation_split(BALANCED)
    assert counts(BALANCED, split.train) == [5400] * 10
    assert counts(BALANCED, split.selection) == [300] * 10
    assert counts(BALANCED, split.calibration) == [300] * 10
    assert len(split.validation) == 6000


def test_unbalanced_labels_still_give_exactly_a_tenth() -> None:
    labels = np.repeat(np.arange(10), MNIST_COUNTS)
    split = validation_split(labels)
    assert (len(split.train), len(split.selection), len(split.calibration)) == (54000, 3000, 3000)
    shares = np.array(counts(labels, split.validation)) / MNIST_COUNTS
    np.testing.assert_allclose(shares, 0.1, atol=1 / 5000)
    halves = np.subtract(counts(labels, split.selection), counts(labels, split.calibration))
    assert np.abs(halves).max() <= 1


def test_the_draw_is_fixed_forever() -> None:
    split = validation_split(BALANCED)
    digest = hashlib.sha256()
    for part in (split.train, split.selection, split.calibration):
        digest.update(part.astype("<i8").tobytes())
    assert digest.hexdigest() == (
        "0f25c7e85dd7b2b8f572424356045a3726e0988335ed4e40b2bcc2e346a0d7cd"
    )
    np.random.seed(1)
    assert np.array_equal(validation_split(BALANCED.astype(np.uint8)).selection, split.selection)


def test_the_draw_is_not_a_simple_pattern() -> None:
    choose = validation_split(BALANCED).selection
    assert 29000 < choose.mean() < 31000
    assert len(np.unique(np.diff(choose))) > 50


def test_the_small_real_set(small: Path) -> None:
    labels = load_dataset(small).train.labels
    split = validation_split(labels)
    assert counts(labels, split.selection) == counts(labels, split.calibration) == [10] * 10


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(10, 90), min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_every_image_is_in_one_part_and_every_class_in_each(
    sizes: list[int], random: Random
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    labels = labels[random.sample(range(len(labels)), len(labels))]
    split = validation_split(labels)
    together = np.concatenate([split.train, split.selection, split.calibration])
    assert np.array_equal(np.sort(together), np.arange(len(labels)))
    for part in (split.train, split.selection, split.calibration):
        assert part.dtype == np.int64
        assert np.all(np.diff(part) > 0)
        assert min(counts(labels, part)) >= 1
    held_back = np.array(counts(labels, split.validation))
    assert np.all(np.abs(held_back - np.maximum(np.array(sizes) / 10, 2)) <= 1)
    assert np.array_equal(
        split.validation, np.sort(np.concatenate([split.selection, split.calibration]))
    )


def test_a_class_that_is_too_small() -> None:
    labels = np.repeat([0, 1, 2], [50, 9, 50])
    with pytest.raises(DataError, match=r"class 1 has 9 training images, .* at least 10"):
        validation_split(labels)


def test_labels_need_not_be_consecutive() -> None:
    split = validation_split(np.repeat([3, 7], [40, 60]))
    assert len(split.validation) == 10


def test_folds_have_equal_sizes_and_classes(small: Path) -> None:
    labels = load_dataset(small).train.labels
    fold = fold_of(labels, 7)
    assert np.ptp(np.bincount(fold)) <= 1
    for label in range(10):
        assert np.ptp(np.bincount(fold[labels == label], minlength=7)) <= 1
    assert (fold == fold_of(labels, 7)).all()
    other = fold_of(labels, 5)
    assert (fold != other).any()


@pytest.fixture
def whole(small: Path) -> Split:
    return load_dataset(small).train


def test_a_seventh_of_each_class_is_the_test_split(whole: Split) -> None:
    is_test = hold_out_test(whole.images, whole.labels)
    assert np.bincount(whole.labels[is_test]).tolist() == [29] * 10  # of 200


def test_the_test_split_goes_by_content_not_by_order(whole: Split) -> None:
    is_test = hold_out_test(whole.images, whole.labels)
    order = np.random.default_rng(0).permutation(len(whole))
    again = hold_out_test(whole.images[order], whole.labels[order])
    np.testing.assert_array_equal(again, is_test[order])


def test_copies_are_on_one_side_whatever_their_labels(whole: Split) -> None:
    images = np.concatenate([whole.images, whole.images[:300], whole.images[:300]])
    labels = np.concatenate([whole.labels, whole.labels[:300], (whole.labels[:300] + 1) % 10])
    is_test = hold_out_test(images, labels)
    n = len(whole)
    np.testing.assert_array_equal(is_test[:300], is_test[n : n + 300])
    np.testing.assert_array_equal(is_test[:300], is_test[n + 300 :])
    assert 0.12 < is_test.mean() < 0.17


def test_every_class_is_on_both_sides(whole: Split) -> None:
    few = np.concatenate([np.flatnonzero(whole.labels == label)[:2] for label in range(10)])
    images, labels = whole.images[few].copy(), whole.labels[few]
    assert np.bincount(labels[hold_out_test(images, labels)]).tolist() == [1] * 10
    images[1] = images[0]
    with pytest.raises(DataError, match="class 0 has 1 different images"):
        hold_out_test(images, labels)
