"""correctness.py: variances by hand, against NumPy and by simulation."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from fittingroom.evaluation.correctness import (
    Draws,
    class_weights,
    integer_variance,
    mean_over_images,
    mean_variance,
    seed_variance,
)


def test_variances_are_unbiased() -> None:
    values = np.random.default_rng(0).integers(-5, 9, 40)
    assert integer_variance(values) == pytest.approx(values.var(ddof=1))
    variance, drawn = mean_variance(values)
    assert variance == pytest.approx(values.var(ddof=1) / 40)
    assert drawn == 40
    correct = np.random.default_rng(1).random((4, 50)) < 0.7
    assert seed_variance(correct) == pytest.approx(correct.mean(axis=1).var(ddof=1))
    assert seed_variance(correct[:1]) == 0.0
    assert mean_variance(values[:1]) == (0.0, 1)


def test_without_copies_each_image_is_a_group() -> None:
    values = np.random.default_rng(0).integers(-5, 9, 40)
    variance, drawn = mean_variance(values, np.arange(40) + 7)
    assert variance == pytest.approx(values.var(ddof=1) / 40)
    assert drawn == 40


def test_copies_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 6, 300)
    copies = np.repeat(np.arange(300), sizes)
    means, variances = [], []
    for _ in range(400):
        values = np.repeat(rng.integers(0, 10, 300), sizes)
        means.append(values.mean())
        variance, drawn = mean_variance(values, copies)
        variances.append(variance)
        assert drawn == 300
    assert np.mean(variances) == pytest.approx(np.var(means), rel=0.15)
    assert mean_variance(np.array([1, 1, 0]), np.zeros(3, int)) == (0.0, 1)


def test_every_class_counts_alike() -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat([2, 5, 9], [300, 40, 7])
    correct = rng.random((4, len(classes))) < 0.8
    predicted = np.where(correct, classes, np.where(classes == 2, 5, 2))
    each = [balanced_accuracy_score(classes, row) for row in predicted]
    right = correct.sum(axis=0)
    assert mean_over_images(right, 4, classes) == pytest.approx(np.mean(each))
    assert seed_variance(correct, classes) == pytest.approx(np.var(each, ddof=1))
    assert mean_over_images(np.full(len(classes), 4), 4, classes) == 1.0
    weights = class_weights(classes)
    assert weights.mean() == pytest.approx(1)
    assert weights @ right / 4 / len(classes) == pytest.approx(np.mean(each))


def test_copies_are_one_draw_of_their_class() -> None:
    classes = np.array([4, 4, 4, 4, 7, 7, 9])
    copies = np.array([0, 0, 1, 2, 0, 3, 5])  # an image may have two labels
    draws = Draws.by_class(classes, copies)
    assert draws.label.tolist() == [0, 0, 0, 0, 1, 1, 2]
    assert draws.images.tolist() == [4, 2, 1]
    assert draws.drawn.tolist() == [3, 2, 1]
    assert draws.of[draws.draw].tolist() == draws.label.tolist()
    assert len(set(draws.draw[:2].tolist())) == 1
    assert Draws.by_class(classes).drawn.tolist() == [4, 2, 1]
