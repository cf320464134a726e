from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.errors import FittingroomError, InputError, UsageError
from fittingroom.runs.added import add_predictions
from fittingroom.runs.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path, small: Dataset) -> Store:
    return open_store(tmp_path / "runs", small)


def saved(tmp_path: Path, **arrays: np.ndarray) -> Path:
    path = tmp_path / "predictions.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def certain(small: Dataset) -> np.ndarray:
    return np.eye(10)[small.test.labels]


def test_probabilities_become_a_run(tmp_path: Path, store: Store, small: Dataset) -> None:
    run = add_predictions(store, small, "theirs", saved(tmp_path, probabilities=certain(small)))
    assert run.record.family == "added"
    assert run.test is not None
    assert run.test.correct.all()
    assert store.runs()[0].record == run.record


def test_labels_alone_are_enough(tmp_path: Path, store: Store, small: Dataset) -> None:
    labels = small.test.labels.copy()
    labels[:100] = (labels[:100] + 1) % 10
    run = add_predictions(store, small, "theirs", saved(tmp_path, labels=labels))
    assert run.test is not None
    assert run.test.correct.mean() == pytest.approx(0.9)


def test_the_same_again_is_the_same_and_other_predictions_need_another_name(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    path = saved(tmp_path, probabilities=certain(small))
    first = add_predictions(store, small, "theirs", path)
    assert add_predictions(store, small, "theirs", path).folder == first.folder
    other = saved(tmp_path, probabilities=np.full((1000, 10), 0.1))
    with pytest.raises(UsageError, match="another name"):
        add_predictions(store, small, "theirs", other)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"something": np.zeros(3)}, "named 'probabilities' or 'labels'"),
        ({"probabilities": np.full((999, 10), 0.1)}, r"shape \(999, 10\)"),
        ({"probabilities": np.full((1000, 10), 0.2)}, "sum to 2, not to 1"),
        ({"probabilities": np.full((1000, 10), np.nan)}, "finite"),
        (
            {"probabilities": np.eye(10)[[0] * 1000] * 1.1 - 0.01},
            "image 0 hold -0.01, ",
        ),
        ({"probabilities": np.full((1000, 10), "x")}, "finite"),
        ({"labels": np.zeros((1000, 10))}, "integers"),
        ({"labels": np.full(1000, 10)}, r"0\.\.9"),
        ({"labels": np.array([{}] * 1000, dtype=object)}, "plain arrays"),
    ],
)
def test_what_is_no_prediction_is_refused(
    tmp_path: Path, store: Store, small: Dataset, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        add_predictions(store, small, "theirs", saved(tmp_path, **arrays))
    assert "\n" not in str(refusal.value)
    assert store.runs() == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"hello"])
def test_what_is_no_npz_file_is_refused(
    tmp_path: Path, store: Store, small: Dataset, content: bytes
) -> None:
    path = tmp_path / "predictions.npz"
    path.write_bytes(content)
    with pytest.raises(FittingroomError, match=r"predictions\.npz"):
        add_predictions(store, small, "theirs", path)
    np.save(tmp_path / "one.npy", certain(small))
    with pytest.raises(FittingroomError, match=r"one\.npy"):
        add_predictions(store, small, "theirs", tmp_path / "one.npy")
    with pytest.raises(InputError, match="does not exist"):
        add_predictions(store, small, "theirs", tmp_path / "absent.npz")


def test_a_name_can_be_no_path(tmp_path: Path, store: Store, small: Dataset) -> None:
    with pytest.raises(UsageError, match="can't be named"):
        add_predictions(store, small, "../x", saved(tmp_path, probabilities=certain(small)))
