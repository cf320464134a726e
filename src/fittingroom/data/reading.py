"""What a reader of any form of data gives: both splits as the files hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.rendering import Preparation
from fittingroom.errors import DataError

#: Words by which the parts of a data set are called in names of files and arrays.
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "t10k"), "test"),
}


class RawSplit(NamedTuple):
    """One split.

    Attributes
    ----------
    images : uint8 (n, height, width)
    labels : (n,) integers or text
    labels_file : what messages on its labels name
    """

    images: NDArray[np.uint8]
    labels: NDArray[Any]
    labels_file: Path


@dataclass(frozen=True, eq=False)
class Reading:
    """A data set as its files hold it, before classes get their names.

    Attributes
    ----------
    class_names : one for each class, in which labels are positions; None if the files don't say
    preparation : how its images were made from pictures
    """

    train: RawSplit
    test: RawSplit
    class_names: tuple[str, ...] | None = None
    preparation: Preparation = "image"

    def __post_init__(self) -> None:
        for part in (self.train, self.test):
            if len(part.images) != len(part.labels):
                raise DataError(
                    f"{part.labels_file} holds {len(part.labels):,} labels for "
                    f"{len(part.images):,} images."
                )


def split_of(name: str) -> str | None:
    """Which split a name speaks of: "train" or "test"; None if neither or both.

    >>> split_of("fashion-mnist_train"), split_of("x_test"), split_of("emnist")
    ('train', 'test', None)
    """
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    splits = {SPLIT_WORDS[word] for word in words & SPLIT_WORDS.keys()}
    return splits.pop() if len(splits) == 1 else None


def without_split(name: str) -> str:
    """A name without the word for its split, such as the name of a data set.

    >>> without_split("fashion-mnist_train")
    'fashion-mnist'
    """
    words = "|".join(SPLIT_WORDS)
    return re.sub(rf"(^|[^a-z0-9]+)({words})(?=[^a-z0-9]|$)", "", name, flags=re.I).strip("-_. ")
