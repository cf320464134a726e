from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.data.dataset import Dataset
from fittingroom.errors import FittingroomError, InputError, UsageError
from fittingroom.runs.external import add_predictions
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
    (run,) = add_predictions(store, small, "theirs", saved(tmp_path, probabilities=certain(small)))
    assert run.record.family == "added"
    assert run.test is not None
    assert run.test.correct.all()
    assert store.runs()[0].record == run.record


def test_labels_alone_are_enough(tmp_path: Path, store: Store, small: Dataset) -> None:
    labels = small.test.labels.copy()
    labels[:100] = (labels[:100] + 1) % 10
    (run,) = add_predictions(store, small, "theirs", saved(tmp_path, labels=labels))
    assert run.test is not None
    assert run.test.correct.mean() == pytest.approx(0.9)


def test_the_same_predictions_are_found_again_and_others_need_another_name(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    path = saved(tmp_path, probabilities=certain(small))
    (first,) = add_predictions(store, small, "theirs", path)
    assert [run.folder for run in add_predictions(store, small, "theirs", path)] == [first.folder]
    other = saved(tmp_path, probabilities=np.full((1000, 10), 0.1))
    with pytest.raises(UsageError, match="another name"):
        add_predictions(store, small, "theirs", other)


def fits(tmp_path: Path, small: Dataset, *wrong: int) -> list[Path]:
    """Files of fits with so many images wrong, each starting with others."""
    paths = []
    for number, count in enumerate(wrong):
        labels = small.test.labels.copy()
        places = np.random.default_rng(number).permutation(len(labels))[:count]
        labels[places] = (labels[places] + 1) % 10
        np.savez(tmp_path / f"seed-{number}.npz", labels=labels)
        paths.append(tmp_path / f"seed-{number}.npz")
    return paths


def test_several_files_are_the_seeds_of_one_row(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    runs = add_predictions(store, small, "theirs", fits(tmp_path, small, 100, 120, 140))
    assert [run.record.spec.seed for run in runs] == [0, 1, 2]
    assert len({run.record.spec.key for run in runs}) == 1
    (row,) = leaderboard(store).rows
    assert (row.model, row.seeds, row.deterministic) == ("theirs (added)", 3, False)
    assert row.test is not None
    assert row.test.accuracy == pytest.approx(0.88)
    assert row.test.accuracy_sd == pytest.approx(0.02)
    assert row.test.ci95 is not None, "three fits say how far they lie apart"
    again = add_predictions(store, small, "theirs", fits(tmp_path, small, 100, 120, 140))
    assert [run.folder for run in again] == [run.folder for run in runs]


def test_a_deterministic_model_has_an_interval_from_one_fit(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    (path, other) = fits(tmp_path, small, 100, 120)
    add_predictions(store, small, "unknown", path)
    add_predictions(store, small, "known", path, deterministic=True)
    rows = {row.model: row.test for row in leaderboard(store).rows}
    assert rows["unknown (added)"] is not None
    assert rows["unknown (added)"].ci95 is None
    assert rows["known (added)"] is not None
    assert rows["known (added)"].ci95 == rows["unknown (added)"].this_fit_ci95
    with pytest.raises(UsageError, match="a deterministic model has one file"):
        add_predictions(store, small, "both", [path, other], deterministic=True)


def test_the_same_predictions_are_not_two_seeds(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    paths = fits(tmp_path, small, 100, 120)
    with pytest.raises(InputError, match=r"seed-0.npz and .*seed-0.npz hold the same"):
        add_predictions(store, small, "theirs", [*paths, paths[0]])
    assert store.runs() == []


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
    tmp_path: Path, store: Store, small: Dataset, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        add_predictions(store, small, "theirs", saved(tmp_path, **arrays))
    assert "\n" not in str(refusal.value)
    assert store.runs() == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"hello"])
def test_a_file_that_is_not_npz_is_refused(
    tmp_path: Path, store: Store, small: Dataset, content: bytes
) -> None:
    path = tmp_path / "predictions.npz"
    path.write_bytes(content)
    with pytest.raises(FittingroomError, match=r"predictions\.npz"):
        add_predictions(store, small, "theirs", path)
    np.save(tmp_path / "one.npy", certain(small))
    with pytest.raises(FittingroomError, match=r"one\.npy"):
        add_predictions(store, small, "theirs", tmp_path / "one.npy")
    with pytest.raises(InputError, match="doesn't exist"):
        add_predictions(store, small, "theirs", tmp_path / "absent.npz")


def test_a_name_can_not_be_a_path(tmp_path: Path, store: Store, small: Dataset) -> None:
    with pytest.raises(UsageError, match="can't be named"):
        add_predictions(store, small, "../x", saved(tmp_path, probabilities=certain(small)))


def good(small: Dataset) -> np.ndarray:
    """Probabilities (1000, 10) that are right for 900 images."""
    predicted = small.test.labels.copy()
    predicted[::10] = (predicted[::10] + 1) % 10
    return 0.9 * np.eye(10)[predicted] + 0.01


ALPHABETICAL = [9, 8, 4, 3, 2, 5, 6, 7, 0, 1]  # the classes of the data set by their names


def test_the_official_labels_are_not_predictions(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    truth = small.test.labels
    with pytest.raises(InputError, match="labels are the official test labels themselves"):
        add_predictions(store, small, "theirs", saved(tmp_path, labels=truth))
    path = saved(tmp_path, labels=truth, predictions=good(small).argmax(axis=1))
    with pytest.raises(InputError, match=r"labels and predictions; .* --array predictions or"):
        add_predictions(store, small, "theirs", path)
    with pytest.raises(
        InputError, match="themselves; name the predictions with --array predictions"
    ):
        add_predictions(store, small, "theirs", path, array="labels")
    assert store.runs() == []
    (run,) = add_predictions(store, small, "theirs", path, array="predictions")
    assert run.test is not None
    assert run.test.correct.mean() == pytest.approx(0.9)
    (perfect,) = add_predictions(store, small, "perfect", path, array="labels", as_is=True)
    assert perfect.test is not None
    assert perfect.test.correct.all()


def test_other_arrays_may_hold_anything(tmp_path: Path, store: Store, small: Dataset) -> None:
    path = saved(tmp_path, a=np.array([{}], dtype=object), probabilities=good(small), z=np.eye(3))
    assert add_predictions(store, small, "theirs", path)[0].test is not None


def test_an_array_that_is_not_there(tmp_path: Path, store: Store, small: Dataset) -> None:
    path = saved(tmp_path, mine=good(small))
    with pytest.raises(InputError, match=r"named 'probabilities' or 'labels' .* with --array mine"):
        add_predictions(store, small, "theirs", path)
    with pytest.raises(InputError, match="no array 'yours'; it holds mine"):
        add_predictions(store, small, "theirs", path, array="yours")
    assert add_predictions(store, small, "theirs", path, array="mine")[0].test is not None


def test_classes_in_another_order_are_refused_unless_they_are_named(
    tmp_path: Path, store: Store, small: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    expected = good(small)
    columns, names = expected[:, ALPHABETICAL], np.array(small.class_names)[ALPHABETICAL]
    with pytest.raises(InputError, match=r"another order: 'T-shirt/top' is predicted as 'Bag'"):
        add_predictions(store, small, "theirs", saved(tmp_path, probabilities=columns))
    assert store.runs() == []
    for arrays in (
        {"probabilities": columns},
        {"labels": columns.argmax(axis=1)},
        {"probabilities": columns, "labels": columns.argmax(axis=1)},
        {"probabilities": columns, "labels": np.argsort(ALPHABETICAL)[small.test.labels]},
    ):
        path = saved(tmp_path, class_names=names, **arrays)
        name = f"{'-'.join(arrays)}-{len(store.runs())}"
        (run,) = add_predictions(store, small, name, path)
        assert run.test is not None
        np.testing.assert_array_equal(
            run.test.probabilities.argmax(axis=1), expected.argmax(axis=1)
        )
    assert caplog.text == ""
    as_is = saved(tmp_path, probabilities=columns)
    assert add_predictions(store, small, "as-is", as_is, as_is=True)[0].test is not None


def test_class_names_are_those_of_the_data_set(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    path = saved(tmp_path, probabilities=good(small), class_names=np.array(list("abcdefghij")))
    with pytest.raises(InputError, match=r"class_names are a, b, .*; fashion-mnist-small has T-sh"):
        add_predictions(store, small, "theirs", path)


def test_labels_beside_probabilities_show_whether_rows_are_in_order(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    shuffled = np.random.default_rng(0).permutation(1000)
    path = saved(tmp_path, probabilities=good(small)[shuffled], labels=small.test.labels[shuffled])
    with pytest.raises(InputError, match="images may be in another order"):
        add_predictions(store, small, "theirs", path)
    for labels in (small.test.labels, good(small).argmax(axis=1)):
        path = saved(tmp_path, probabilities=good(small), labels=labels)
        assert add_predictions(store, small, "theirs", path)[0].test is not None


def test_predictions_as_good_in_any_order_are_logged(
    tmp_path: Path, store: Store, small: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    shuffled = np.random.default_rng(0).permutation(1000)
    add_predictions(store, small, "sound", saved(tmp_path, probabilities=good(small)))
    assert caplog.text == ""
    path = saved(tmp_path, probabilities=good(small)[shuffled])
    add_predictions(store, small, "shuffled", path)
    assert "no more than in a random order (10.0%)" in caplog.text


def test_added_runs_are_not_deterministic_unless_said(
    tmp_path: Path, store: Store, small: Dataset
) -> None:
    add_predictions(store, small, "theirs", saved(tmp_path, probabilities=good(small)))
    (note,) = leaderboard(store).notes
    assert note.startswith("Only one seed for theirs (added), and the variation between seeds ")
    (run,) = store.runs()
    as_recorded_once = replace(run.record, deterministic=True, files=None)
    (run.folder / "run.json").write_text(as_recorded_once.to_json())
    (run,) = store.runs()
    assert not run.record.deterministic


@pytest.mark.parametrize("names", [np.empty(2**20, "U0"), np.full(2**20, "a"), np.arange(10)])
def test_class_names_are_measured_first(
    tmp_path: Path, store: Store, small: Dataset, names: np.ndarray
) -> None:
    path = saved(tmp_path, probabilities=good(small), class_names=names)
    with pytest.raises(InputError, match=r"class_names must be the 10 names of the classes"):
        add_predictions(store, small, "theirs", path)
