"""Names that say which split something is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.reading import RawSplit, Reading, split_of, with_split
from fittingroom.errors import DataError


@pytest.mark.parametrize(
    ("name", "split", "rest"),
    [
        ("fashion-mnist_train", "train", "fashion-mnist"),
        ("sign_mnist_test", "test", "sign_mnist"),
        ("emnist-letters-Train", "train", "emnist-letters"),
        ("x_test", "test", "x"),
        ("train", "train", ""),
        ("kmnist-train-imgs", "train", "kmnist-imgs"),
        ("pneumonia_val", "validation", "pneumonia"),
        ("x_valid", "validation", "x"),
        ("dev", "validation", ""),
        ("latest", None, "latest"),
        ("trained", None, "trained"),
        ("train_test", None, ""),
    ],
)
def test_a_name_says_its_split_by_a_word(name: str, split: str | None, rest: str) -> None:
    assert split_of(name) == split
    assert with_split(name, "") == rest


def test_each_image_has_a_label() -> None:
    images, labels = np.zeros((3, 2, 2), np.uint8), np.array([0, 1])
    whole = RawSplit(images[:2], labels, Path("a"))
    with pytest.raises(DataError, match="b holds 2 labels for 3 images"):
        Reading({"train": whole, "test": RawSplit(images, labels, Path("b"))})


def test_the_word_for_the_split_is_replaced() -> None:
    assert with_split("x_train.csv", "test") == "x_test.csv"
    assert with_split("Training-x.csv.gz", "test") == "test-x.csv.gz"
