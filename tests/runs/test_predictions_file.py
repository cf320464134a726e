from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.errors import FittingroomError, InputError
from fittingroom.runs.predictions_file import read_predictions


def saved(tmp_path: Path, **arrays: np.ndarray) -> Path:
    path = tmp_path / "predictions.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"something": np.zeros(3)}, "named 'probabilities' or 'labels'"),
        ({"probabilities": np.full((999, 10), 0.1)}, r"shape \(999, 10\)"),
        ({"probabilities": np.full((1000, 10), 0.2)}, "sum to 2, not to 1"),
        ({"probabilities": np.full((1000, 10), np.nan)}, "finite"),
        (
            {"probabilities": np.eye(10)[[0] * 1000] * 1.1 - 0.01},
            "image 0 contain -0.01, ",
        ),
        ({"probabilities": np.full((1000, 10), "x")}, "finite"),
        ({"labels": np.zeros((1000, 10))}, "integers"),
        ({"labels": np.full(1000, 10)}, r"0\.\.9"),
        (
            {"labels": np.array([{}] * 1000, dtype=object)},
            "labels holds Python objects, which aren't read",
        ),
    ],
)
def test_malformed_predictions_are_refused(
    tmp_path: Path, small: Dataset, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        read_predictions(saved(tmp_path, **arrays), small)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"hello"])
def test_a_file_that_is_not_npz_is_refused(tmp_path: Path, small: Dataset, content: bytes) -> None:
    path = tmp_path / "predictions.npz"
    path.write_bytes(content)
    with pytest.raises(FittingroomError, match=r"predictions\.npz"):
        read_predictions(path, small)
    np.save(tmp_path / "one.npy", good(small))
    with pytest.raises(FittingroomError, match=r"one\.npy"):
        read_predictions(tmp_path / "one.npy", small)
    with pytest.raises(InputError, match="doesn't exist"):
        read_predictions(tmp_path / "absent.npz", small)


def good(small: Dataset) -> np.ndarray:
    """Probabilities (1000, 10) that are right for 900 images."""
    predicted = small.test.labels.copy()
    predicted[::10] = (predicted[::10] + 1) % 10
    return 0.9 * np.eye(10)[predicted] + 0.01


ALPHABETICAL = [9, 8, 4, 3, 2, 5, 6, 7, 0, 1]  # the classes of the data set by their names


def test_the_official_labels_are_not_predictions(tmp_path: Path, small: Dataset) -> None:
    truth = small.test.labels
    with pytest.raises(InputError, match="labels are the official test labels themselves"):
        read_predictions(saved(tmp_path, labels=truth), small)
    path = saved(tmp_path, labels=truth, predictions=good(small).argmax(axis=1))
    with pytest.raises(InputError, match=r"labels and predictions; .* --array predictions or"):
        read_predictions(path, small)
    with pytest.raises(
        InputError, match="themselves; name the predictions with --array predictions"
    ):
        read_predictions(path, small, array="labels")
    probabilities = read_predictions(path, small, array="predictions")
    np.testing.assert_array_equal(probabilities.argmax(axis=1), good(small).argmax(axis=1))
    perfect = read_predictions(path, small, array="labels", as_is=True)
    np.testing.assert_array_equal(perfect, np.eye(10)[truth])


def test_other_arrays_may_hold_anything(tmp_path: Path, small: Dataset) -> None:
    path = saved(tmp_path, a=np.array([{}], dtype=object), probabilities=good(small), z=np.eye(3))
    np.testing.assert_allclose(read_predictions(path, small), good(small), atol=1e-7)


def test_an_array_that_is_not_there(tmp_path: Path, small: Dataset) -> None:
    path = saved(tmp_path, mine=good(small))
    with pytest.raises(InputError, match=r"named 'probabilities' or 'labels' .* with --array mine"):
        read_predictions(path, small)
    with pytest.raises(InputError, match="no array 'yours'; it holds mine"):
        read_predictions(path, small, array="yours")
    np.testing.assert_allclose(read_predictions(path, small, array="mine"), good(small), atol=1e-7)


def test_classes_in_another_order_are_refused_unless_they_are_named(
    tmp_path: Path, small: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    expected = good(small)
    columns, names = expected[:, ALPHABETICAL], np.array(small.class_names)[ALPHABETICAL]
    with pytest.raises(InputError, match=r"another order: 'T-shirt/top' is predicted as 'Bag'"):
        read_predictions(saved(tmp_path, probabilities=columns), small)
    for arrays in (
        {"probabilities": columns},
        {"labels": columns.argmax(axis=1)},
        {"probabilities": columns, "labels": columns.argmax(axis=1)},
        {"probabilities": columns, "labels": np.argsort(ALPHABETICAL)[small.test.labels]},
    ):
        path = saved(tmp_path, class_names=names, **arrays)
        predicted = read_predictions(path, small).argmax(axis=1)
        np.testing.assert_array_equal(predicted, expected.argmax(axis=1))
    assert caplog.text == ""
    as_is = saved(tmp_path, probabilities=columns)
    np.testing.assert_allclose(read_predictions(as_is, small, as_is=True), columns, atol=1e-7)


def test_class_names_are_those_of_the_data_set(tmp_path: Path, small: Dataset) -> None:
    path = saved(tmp_path, probabilities=good(small), class_names=np.array(list("abcdefghij")))
    with pytest.raises(InputError, match=r"class_names are a, b, .*; fashion-mnist-small has T-sh"):
        read_predictions(path, small)


def test_labels_beside_probabilities_show_whether_rows_are_in_order(
    tmp_path: Path, small: Dataset
) -> None:
    shuffled = np.random.default_rng(0).permutation(1000)
    path = saved(tmp_path, probabilities=good(small)[shuffled], labels=small.test.labels[shuffled])
    with pytest.raises(InputError, match="images may be in another order"):
        read_predictions(path, small)
    for labels in (small.test.labels, good(small).argmax(axis=1)):
        path = saved(tmp_path, probabilities=good(small), labels=labels)
        np.testing.assert_allclose(read_predictions(path, small), good(small), atol=1e-7)


def test_predictions_as_good_in_any_order_are_logged(
    tmp_path: Path, small: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    shuffled = np.random.default_rng(0).permutation(1000)
    read_predictions(saved(tmp_path, probabilities=good(small)), small)
    assert caplog.text == ""
    path = saved(tmp_path, probabilities=good(small)[shuffled])
    read_predictions(path, small)
    assert "% are right, no more than in a random order (10.0%)" in caplog.text
    right = (good(small)[shuffled].argmax(axis=1) == small.test.labels).mean()
    assert f": {100 * right:.1f}% are right" in caplog.text


@pytest.mark.parametrize("names", [np.empty(2**20, "U0"), np.full(2**20, "a"), np.arange(10)])
def test_class_names_are_measured_first(tmp_path: Path, small: Dataset, names: np.ndarray) -> None:
    path = saved(tmp_path, probabilities=good(small), class_names=names)
    with pytest.raises(InputError, match=r"class_names must be the 10 names of the classes"):
        read_predictions(path, small)
