from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fittingroom.bench.comparison.comparison import Entry
from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.bench.comparison.notes import notes_of
from fittingroom.data.dataset import Dataset
from fittingroom.runs.external import add_predictions
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store, find_store, open_store

Save = Callable[..., Entry]


def test_mixed_circumstances_are_noted(store: Store, save: Save) -> None:
    save("a", 2, 0.1, precision="bfloat16")
    save("bb", 2, 0.2, precision="float32", environment={"torch": "2.12.0"})
    notes = " ".join(leaderboard(store).notes)
    assert "different precisions: bfloat16, float32" in notes
    assert "different torch: 2.12.0, 2.13.0" in notes


def test_test_labels_in_another_numbering_are_noted(
    tmp_path: Path, small: Dataset, save: Save
) -> None:
    data = Dataset.from_arrays(
        small.train.images,
        small.train.labels,
        small.test.images,
        (small.test.labels + 1) % 10,
        class_names=small.class_names,
    )
    store = open_store(tmp_path / "other", data)
    for name, wrong in (("one", 0.1), ("second", 0.3)):
        save(name, 2, wrong, labels=data.test.labels, into=store)
    board = leaderboard(store)
    assert "'Trouser' is predicted as 'T-shirt/top', 'Pullover' is" in board.notes[-1]
    assert "one too high; with that numbering, accuracy would be 90.3% instead" in board.notes[-1]


def test_added_predictions_do_not_judge_the_labels(
    store: Store, small: Dataset, save: Save
) -> None:
    save("ours", 1, 0.1)
    save("theirs", 3, 0.1, family="added", aims=(small.test.labels + 1) % 10)
    board = leaderboard(store)
    assert {row.status for row in board.rows} == {"ok"}
    assert not any("number the classes" in note for note in board.notes)


def test_copies_and_classes_without_images_are_noted_without_the_data_too(
    tmp_path: Path, some_of: Callable[..., Dataset], small: Dataset
) -> None:
    few = some_of({0: 20, 1: 20}, {0: 5, 1: 5, 2: 4})
    test = few.test.images.copy()
    test[:3] = few.train.images[7]  # to the pixel
    data = Dataset.from_arrays(
        *(few.train.images, few.train.labels, test, few.test.labels),
        class_names=small.class_names[:4],
        name="leaky",
    )
    store = open_store(tmp_path, data)
    fit(spec_of(data, "knn"), data, store, keep_model=False)
    for opened in (store, find_store(tmp_path)):
        assert leaderboard(opened).notes[:4] == (
            "3 of 14 test images are exact copies of training images; correct predictions of those "
            "say nothing about new images.",
            "3 of 14 test images are exact copies of one another; in intervals and tests they "
            "count as 1.",
            "Classes without training images, which no model can learn: Pullover, Dress.",
            "Classes without test images, which are not evaluated: Dress.",
        )


def test_rows_that_are_hard_to_compare_are_noted(
    store: Store, small: Dataset, tmp_path: Path, save: Save
) -> None:
    save("a", 2, 0.1, engine="one")
    save("bb", 2, 0.2, engine="other", trained_on=2000)
    np.savez(tmp_path / "theirs.npz", labels=np.zeros(len(small.test), int))
    add_predictions(store, small, "theirs", tmp_path / "theirs.npz", deterministic=True)
    notes = leaderboard(store).notes
    assert "Probabilities are all 0 or 1, so log loss means little: theirs (added)." in notes
    assert "The rows were trained on different numbers of images." in notes
    assert "The classical models were fitted by different engines: one, other." in notes


def test_of_many_classes_the_first_are_named(store: Store) -> None:
    card = replace(store.card, untrained_classes=tuple("abcdefghij"))
    (note,) = notes_of(card, (), {}, {})
    assert note.endswith("which no model can learn: a, b, c, d, e, and 5 others.")
