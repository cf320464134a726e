from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError, NotFiniteError
from fittingroom.runs.prediction import predict

SOME = np.array([3, 1, 8])


def classifier(classes: Any, output: Any, by: str = "predict_proba") -> Any:
    """A fitted classifier that always predicts the same."""
    return SimpleNamespace(classes_=classes, **{by: lambda images: output})


def test_columns_go_to_the_classes_that_they_are_of(small: Dataset) -> None:
    """A classifier that never saw some classes gives these nothing."""
    output = np.array([[0.7, 0.2, 0.1]] * 3)
    part, seconds = predict(classifier(["4", "0", "2"], output), small.test, SOME, 10)
    np.testing.assert_allclose(part.probabilities[:, [4, 0, 2]], output, atol=1e-7)
    assert part.probabilities.sum(axis=1) == pytest.approx(1)
    np.testing.assert_array_equal(part.labels, small.test.labels[SOME])
    np.testing.assert_array_equal(part.index, SOME)
    assert seconds > 0


def test_labels_alone_are_certain(small: Dataset) -> None:
    part, _ = predict(classifier(None, np.array([2.0, 0.0, 9.0]), "predict"), small.test, SOME, 10)
    np.testing.assert_array_equal(part.probabilities, np.eye(10)[[2, 0, 9]])


@pytest.mark.parametrize(
    ("fitted", "error", "message"),
    [
        (classifier(None, np.eye(3)), InputError, "has no classes_"),
        (classifier(range(3), np.eye(2)), InputError, r"array \(2, 2\) for 3 images and 3 diff"),
        (classifier([0, 0, 1], np.eye(3)), InputError, "for 3 images and 2 different classes_"),
        (classifier([0, 1, 10], np.eye(3)), InputError, "has in its classes_ .*10.*, 0 to 9"),
        (classifier(["a", "b", "c"], np.eye(3)), InputError, "has in its classes_ .*'a'.*, which"),
        (classifier(None, [0, 1.5, 2], "predict"), InputError, "predicts .*1.5.*, 0 to 9"),
        (classifier(range(3), np.full((3, 3), np.inf)), NotFiniteError, "are not finite"),
        (classifier(range(3), np.ones((3, 3))), InputError, "of image 3 sum to 3, not to 1"),
        (classifier([0, 1], [[1.1, -0.1]] * 3), InputError, "image 3 contain -0.1, which is neg"),
    ],
)
def test_predictions_that_make_no_sense_are_refused(
    fitted: Any, error: type[Exception], message: str, small: Dataset
) -> None:
    with pytest.raises(error, match=message):
        predict(fitted, small.test, SOME, 10)


def test_images_are_flat_rows(small: Dataset) -> None:
    seen: list[np.ndarray] = []

    def labels_of(images: np.ndarray) -> list[int]:
        seen.append(images)
        return [0, 1, 2]

    predict(SimpleNamespace(predict=labels_of), small.test, SOME, 10)
    np.testing.assert_array_equal(seen[0], small.test.images[SOME].reshape(3, 784))
