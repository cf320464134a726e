from __future__ import annotations

import numpy as np
import pytest

from fittingroom.errors import InputError
from fittingroom.evaluation.relabelling import relabelling

CLASSES = 10
NAMES = [f"class {label}" for label in range(CLASSES)]


def predicted(n: int = 500, accuracy: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """What a model predicts, and the classes that the images show."""
    random = np.random.default_rng(0)
    truth = np.arange(n) % CLASSES
    right = random.random(n) < accuracy
    return np.where(right, truth, random.integers(CLASSES, size=n)), truth


@pytest.mark.parametrize(("step", "words"), [(1, "one too high"), (-1, "one too low")])
def test_labels_that_are_off_by_one(step: int, words: str) -> None:
    given, truth = predicted()
    found = relabelling(given, (truth + step) % CLASSES, CLASSES)
    assert found is not None
    assert found.predicted_as == tuple((np.arange(CLASSES) - step) % CLASSES)
    assert found.relabelled_accuracy == pytest.approx((given == truth).mean())
    assert found.accuracy < 0.1
    sentence = found.sentence(NAMES)
    assert sentence.startswith(f"'class 0' is predicted as 'class {-step % CLASSES}', ")
    assert (
        f"and so on (10 classes), each label {words}; with that numbering, accuracy would be 78"
        in sentence
    )


def test_two_classes_that_are_exchanged() -> None:
    given, truth = predicted()
    exchanged = np.where(truth == 3, 7, np.where(truth == 7, 3, truth))
    found = relabelling(given, exchanged, CLASSES)
    assert found is not None
    assert found.changed_labels == (3, 7)
    assert found.sentence(NAMES).startswith(
        "'class 3' is predicted as 'class 7', 'class 7' is predicted as 'class 3'; with that number"
    )


def test_each_group_of_exchanged_classes_counts_by_itself() -> None:
    given, truth = predicted(2000)
    numbering = np.array([1, 2, 0, 3, 4, 6, 5, 7, 8, 9])  # of the labels
    given = np.where((truth == 8) | (truth == 9), 8, given)  # as which both classes are predicted
    found = relabelling(given, numbering[truth], CLASSES)
    assert found is not None
    assert found.predicted_as == tuple(np.argsort(numbering))
    assert found.changed_labels == (0, 1, 2, 5, 6)


def test_labels_that_begin_at_one_in_a_set_with_a_class_more() -> None:
    given, truth = predicted()
    found = relabelling(given, truth + 1, CLASSES + 1)
    assert found is not None
    assert found.predicted_as == (0, *range(CLASSES))  # nothing is labelled 0


def test_labels_that_fit_stand_as_they_are() -> None:
    given, truth = predicted()
    assert relabelling(given, truth, CLASSES) is None
    assert relabelling(*predicted(accuracy=0.2), CLASSES) is None


def test_a_model_that_knows_nothing_speaks_for_no_numbering() -> None:
    for seed in range(200):
        random = np.random.default_rng(seed)
        n = int(random.integers(1, 300))
        labels = (random.random(n) ** 3 * CLASSES).astype(int)
        for given in (
            random.integers(CLASSES, size=n),
            np.full(n, random.integers(CLASSES)),
            np.where(random.random(n) < 0.5, labels, labels ^ 1),  # takes pairs for one another
            np.where(labels < 8, 3, labels),
        ):
            assert relabelling(given, labels, CLASSES) is None


def test_a_few_images_are_not_enough() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1])
    assert relabelling(1 - labels, labels, 2) is None
    assert relabelling(1 - np.tile(labels, 5), np.tile(labels, 5), 2) is not None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="don't fit"):
        relabelling(np.zeros(3, int), np.zeros(2, int), 2)
    with pytest.raises(InputError, match="class 5 is not among the 2 classes"):
        relabelling(np.zeros(2, int), np.array([0, 5]), 2)
