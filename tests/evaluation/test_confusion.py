"""confusion.py: counts, shares and the sentence about the hardest class."""

import json

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fittingroom.errors import InputError
from fittingroom.evaluation.confusion import ConfusionMatrix, confusion_matrix, mean_confusion

CLASSES = st.integers(0, 3)
Labels = NDArray[np.int64]


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            hnp.arrays(np.int64, n, elements=CLASSES), hnp.arrays(np.int64, n, elements=CLASSES)
        )
    )
)
def test_counts_and_shares_equal_scikit_learn(both: tuple[Labels, Labels]) -> None:
    predicted, labels = both
    matrix = confusion_matrix(predicted, labels, 4)
    classes = range(4)
    expected = sklearn.metrics.confusion_matrix(labels, predicted, labels=classes)
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=np.nan
    )
    assert np.array_equal(matrix.counts, expected)
    np.testing.assert_allclose(matrix.precision, precision)
    np.testing.assert_allclose(matrix.recall, recall)
    np.testing.assert_allclose(matrix.f1, f1)


def test_of_probabilities_the_largest_counts() -> None:
    probabilities = np.array([[0.2, 0.8], [0.9, 0.1]], dtype=np.float32)
    matrix = confusion_matrix(probabilities, np.array([0, 0], dtype=np.uint8), 2)
    assert matrix.counts.tolist() == [[1, 1], [0, 0]]


def test_hardest_class_and_its_sentence() -> None:
    names = ["T-shirt/top", "Pullover", "Coat", "Dress", "Shirt"]
    counts = np.diag([90, 90, 90, 90, 61])
    counts[4, :4] = [14, 9, 8, 8]
    matrix = ConfusionMatrix(counts)
    hardest = matrix.hardest()
    assert (hardest.index, hardest.recall) == (4, 0.61)
    assert [(wrong.index, wrong.count, wrong.share) for wrong in hardest.taken_for] == [
        (0, 14, 0.14),
        (1, 9, 0.09),
        (2, 8, 0.08),
        (3, 8, 0.08),
    ]
    assert matrix.hardest_sentence(names) == (
        "Shirt is the hardest class: 61% correct; confused with T-shirt/top 14%, Pullover 9%, "
        "Coat 8%."
    )
    assert json.loads(json.dumps(hardest.to_dict()))["taken_for"][0] == {
        "index": 0,
        "count": 14,
        "share": 0.14,
    }


def test_the_sentence_for_rare_mistakes() -> None:
    few = ConfusionMatrix(np.array([[985, 12, 3], [0, 1000, 0], [0, 0, 1000]]))
    assert few.hardest_sentence("012") == (
        "0 is the hardest class: 98.5% correct; confused with 1 1.2%, 2 0.3%."
    )
    none = ConfusionMatrix(np.eye(3, dtype=np.int64))
    assert (
        none.hardest_sentence("012") == "No class is hardest: every image is classified correctly."
    )


def test_a_class_without_images_is_not_the_hardest() -> None:
    matrix = ConfusionMatrix(np.array([[0, 0], [1, 3]]))
    assert matrix.hardest().index == 1


def test_undefined_shares_are_null_in_json() -> None:
    matrix = ConfusionMatrix(np.array([[0, 0, 0], [0, 2, 0], [0, 1, 0]]))
    assert matrix.to_dict() == {
        "counts": [[0, 0, 0], [0, 2, 0], [0, 1, 0]],
        "recall": [None, 1.0, 0.0],
        "precision": [None, 2 / 3, None],
        "f1": [None, 0.8, 0.0],
    }
    assert "NaN" not in json.dumps(matrix.to_dict(), allow_nan=False)


def test_mean_over_seeds_keeps_the_number_of_images() -> None:
    first = confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2)
    second = confusion_matrix(np.array([0, 1, 0]), np.array([0, 1, 0]), 2)
    mean = mean_confusion([first, second])
    assert mean.counts.tolist() == [[1.5, 0.5], [0.0, 1.0]]
    assert mean.counts.sum() == 3


@pytest.mark.parametrize(
    ("predicted", "labels"),
    [([0, 1], [0]), ([], []), ([0, 2], [0, 1]), ([0, 1], [0, 2]), ([0, -1], [0, 1])],
)
def test_input_that_does_not_match_is_refused(predicted: list[int], labels: list[int]) -> None:
    with pytest.raises(InputError):
        confusion_matrix(np.array(predicted, dtype=int), np.array(labels, dtype=int), 2)


def test_the_sentence_needs_a_name_for_each_class() -> None:
    with pytest.raises(InputError, match="1 class names don't match a matrix of 2"):
        ConfusionMatrix(np.eye(2)).hardest_sentence(["one"])
    with pytest.raises(InputError, match="at least one"):
        mean_confusion([])


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            hnp.arrays(np.int64, n, elements=CLASSES), hnp.arrays(np.int64, n, elements=CLASSES)
        )
    )
)
def test_the_report_is_scikit_learn_s(both: tuple[Labels, Labels]) -> None:
    predicted, labels = both
    names = ["a", "b", "c", "d"]
    report = confusion_matrix(predicted, labels, 4).report(names)
    expected = sklearn.metrics.classification_report(
        labels,
        predicted,
        labels=range(4),
        target_names=names,
        output_dict=True,
        zero_division=np.nan,
    )
    lines = {line.name: line for line in report.classes}
    lines |= {"macro avg": report.macro, "weighted avg": report.weighted}
    assert report.accuracy == pytest.approx((predicted == labels).mean())
    for name, line in lines.items():
        assert line.support == expected[name]["support"]
        if name == "weighted avg" and set(labels) != set(range(4)):
            continue  # scikit-learn lets a class without images decide what is defined
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            value, of_them = getattr(line, ours), expected[name][theirs]
            assert value is None if np.isnan(of_them) else value == pytest.approx(of_them)


def test_the_most_confused_pairs_count_both_ways() -> None:
    matrix = ConfusionMatrix(np.array([[90, 2, 8], [3, 97, 0], [5, 0, 95]]))
    first, second = matrix.most_confused()
    assert (first.first, first.second, first.first_as_second, first.second_as_first) == (0, 2, 8, 5)
    assert (first.count, second.count) == (13, 5)
    assert matrix.most_confused(at_most=1) == (first,)
    assert ConfusionMatrix(np.diag([3, 4])).most_confused() == ()


def test_a_report_needs_a_name_for_each_class() -> None:
    with pytest.raises(InputError, match="1 class names don't match a matrix of 2 classes"):
        ConfusionMatrix(np.diag([3, 4])).report(["a"])
