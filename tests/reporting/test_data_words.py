from __future__ import annotations

import dataclasses
from collections.abc import Callable

from fittingroom.bench.explore import Exploration, explore
from fittingroom.data.dataset import Dataset
from fittingroom.reporting import data_words


def texts(exploration: Exploration) -> list[str]:
    return [finding.text for finding in data_words.findings(exploration)]


def test_a_data_set_without_a_fault_says_so(exploration: Exploration) -> None:
    assert texts(exploration) == ["No test image copies a training image; classes are balanced."]


def test_copies_come_first_and_lead_to_their_images(doubled_exploration: Exploration) -> None:
    exploration = doubled_exploration
    first, labels, counts, within = data_words.findings(exploration)
    assert first.text == (
        "2 of 100 test images copy training images, pixel for pixel, and 1 more nearly does."
    )
    assert (first.section, first.choices) == ("duplicates", "where=between")
    assert labels.text == "3 pairs of identical images have different labels."
    assert (labels.section, labels.choices) == ("duplicates", "labels=different")
    assert counts.text.startswith("Classes are unbalanced: ")
    assert within.text == "3 training images copy other training images."
    assert (within.section, within.choices) == ("duplicates", "kind=identical")
    assert data_words.nearly_copied(exploration) == 1
    nearly = dataclasses.replace(exploration, copies=dict.fromkeys(exploration.copies, 0))
    assert texts(nearly)[0] == "1 of 100 test images nearly copies a training image."


def test_empty_and_unbalanced_classes(some_of: Callable[..., Dataset]) -> None:
    assert texts(explore(some_of({0: 30, 2: 12}, {0: 5, 2: 5}))) == [
        "No training image is of class Trouser.",
        "No test image is of class Trouser.",
        "Classes are unbalanced: 30 training images of T-shirt/top, 12 of Pullover.",
        "No test image copies a training image.",
    ]
    assert texts(explore(some_of({0: 12, 1: 12}, {0: 9, 1: 3})))[0] == (
        "Classes are unbalanced: 9 test images of T-shirt/top, 3 of Trouser."
    )


def test_of_many_empty_classes_three_are_named(some_of: Callable[..., Dataset]) -> None:
    names = [f"class {number}" for number in range(30)]
    data = some_of({0: 4, 1: 4}, {0: 2, 1: 2}, class_names=names)
    assert texts(explore(data))[0] == (
        "No training image is of class class 2, class 3, class 4 or 25 others."
    )


def test_how_many_were_searched_is_said_if_not_all(exploration: Exploration) -> None:
    some = dataclasses.replace(exploration, searched={"train": 500, "test": 1000})
    (text,) = texts(some)
    assert text == (
        "No test image copies a training image among the first 500 training images and 1,000 test "
        "images; classes are balanced."
    )


def test_exact_copies_are_counted_in_words(exploration: Exploration) -> None:
    assert data_words.copies(exploration) == "There are no exact duplicates."
    copied = dataclasses.replace(exploration, copies={"train": 2, "test": 1, "between": 0})
    assert data_words.copies(copied) == (
        "Exact duplicates: 2 training images copy other training images, 1 test image copies "
        "another test image and 0 test images copy training images."
    )
