from __future__ import annotations

import numpy as np
import pytest

from fittingroom.errors import InputError
from fittingroom.evaluation.relabelling import relabelling

CLASSES = 10
NAMES = [f"class {label}" for label in range(CLASSES)]


def predict(n: int = 500, accuracy: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """A model's predictions, and the true classes."""
    random = np.random.default_rng(0)
    truth = np.arange(n) % CLASSES
    right = random.random(n) < accuracy
    return np.where(right, truth, random.integers(CLASSES, size=n)), truth


@pytest.mark.parametrize(("step", "words"), [(1, "one too high"), (-1, "one too low")])
def test_labels_that_are_off_by_one(step: int, words: str) -> None:
    predicted, truth = predict()
    result = relabelling(predicted, (truth + step) % CLASSES, CLASSES)
    assert result is not None
    assert result.predicted_as == tuple((np.arange(CLASSES) - step) % CLASSES)
    assert result.relabelled_accuracy == pytest.approx((predicted == truth).mean())
    assert result.accuracy < 0.1
    sentence = result.sentence(NAMES)
    assert sentence.startswith(f"'class 0' is predicted as 'class {-step % CLASSES}', ")
    assert (
        f"and so on (10 classes), each label {words}; with that numbering, accuracy would be 78"
        in sentence
    )


def test_two_classes_that_are_exchanged() -> None:
    predicted, truth = predict()
    exchanged = np.where(truth == 3, 7, np.where(truth == 7, 3, truth))
    result = relabelling(predicted, exchanged, CLASSES)
    assert result is not None
    assert result.changed_labels == (3, 7)
    assert result.sentence(NAMES).startswith(
        "'class 3' is predicted as 'class 7', 'class 7' is predicted as 'class 3'; with that number"
    )


def test_each_group_of_exchanged_classes_is_judged_by_itself() -> None:
    predicted, truth = predict(2000)
    numbering = np.array([1, 2, 0, 3, 4, 6, 5, 7, 8, 9])  # of the labels
    predicted[(truth == 8) | (truth == 9)] = 8
    result = relabelling(predicted, numbering[truth], CLASSES)
    assert result is not None
    assert result.predicted_as == tuple(np.argsort(numbering))
    assert result.changed_labels == (0, 1, 2, 5, 6)


def test_labels_from_one_in_a_set_with_one_more_class() -> None:
    predicted, truth = predict()
    result = relabelling(predicted, truth + 1, CLASSES + 1)
    assert result is not None
    assert result.predicted_as == (0, *range(CLASSES))  # nothing is labelled 0


def test_labels_that_fit_are_left_alone() -> None:
    predicted, truth = predict()
    assert relabelling(predicted, truth, CLASSES) is None
    assert relabelling(*predict(accuracy=0.2), CLASSES) is None


def test_an_uninformative_model_is_not_evidence_of_another_numbering() -> None:
    for seed in range(200):
        random = np.random.default_rng(seed)
        n = int(random.integers(1, 300))
        labels = (random.random(n) ** 3 * CLASSES).astype(int)
        for predicted in (
            random.integers(CLASSES, size=n),
            np.full(n, random.integers(CLASSES)),
            np.where(random.random(n) < 0.5, labels, labels ^ 1),  # confuses the classes of a pair
            np.where(labels < 8, 3, labels),
        ):
            assert relabelling(predicted, labels, CLASSES) is None


def test_a_few_images_are_not_enough() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1])
    assert relabelling(1 - labels, labels, 2) is None
    assert relabelling(1 - np.tile(labels, 5), np.tile(labels, 5), 2) is not None


def test_input_that_does_not_match_is_refused() -> None:
    with pytest.raises(InputError, match="don't match"):
        relabelling(np.zeros(3, int), np.zeros(2, int), 2)
    with pytest.raises(InputError, match="class 5 is out of range"):
        relabelling(np.zeros(2, int), np.array([0, 5]), 2)
