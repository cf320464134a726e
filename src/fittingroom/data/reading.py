"""What a reader of any form of data gives: both splits as the files hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
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
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}


#: The longest label in characters: NumPy gives every label the room of the longest one.
LONGEST_LABEL = 200
#: The only part of data without a split of their own.
UNSPLIT = "all"


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


@dataclass(frozen=True)
class PictureOptions:
    """How pictures are read.

    Attributes
    ----------
    size : height and width to which pictures are scaled, their aspect kept, and padded; None if all
        have the same size already
    skip_damaged : leave out pictures that can't be read, instead of raising an error
    named : the path that the user named, where that isn't the one that is read
    """

    size: tuple[int, int] | None = None
    skip_damaged: bool = False
    named: Path | None = field(default=None, compare=False)


AS_THEY_ARE = PictureOptions()
#: What to say of a path where options for pictures don't apply.
NO_PICTURES = "{} holds no picture files; omit size and skip_damaged."
#: What to log where a file lies beside its compressed copy.
COMPRESSED_COPY = "%s is read, not its compressed copy %s"


@dataclass(frozen=True, eq=False)
class Reading:
    """A data set as its files hold it, before classes get their names.

    Attributes
    ----------
    parts : "train", "test" and, if there is an official validation part, "validation"; or `UNSPLIT`
        alone
    class_names : one for each class, in which labels are positions; None if the files don't say
    default_names : of classes in which labels are positions, for data that aren't in the catalogue
    preparation : how its images were made from pictures; None if they weren't
    name : what its files call it; None if they don't
    """

    parts: Mapping[str, RawSplit]
    class_names: tuple[str, ...] | None = None
    default_names: tuple[str, ...] | None = None
    preparation: Preparation | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for part in self.parts.values():
            if not part.labels.size:
                raise DataError(f"{part.labels_file} holds no labels.")
            if len(part.images) != len(part.labels):
                raise DataError(
                    f"{part.labels_file} holds {len(part.labels):,} labels for "
                    f"{len(part.images):,} images."
                )


def is_transposed(name: str) -> bool:
    """Whether a file of this name holds its images transposed, as all of EMNIST's do.

    Cohen et al., "EMNIST: an extension of MNIST to handwritten letters", 2017. It is told from the
    name, never from the pixels.
    """
    return name.lower().startswith("emnist")


def split_of(name: str) -> str | None:
    """Which split a name speaks of: "train", "test" or "validation"; None if none or several.

    >>> split_of("fashion-mnist_train"), split_of("x_test"), split_of("emnist")
    ('train', 'test', None)
    """
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    splits = {SPLIT_WORDS[word] for word in words & SPLIT_WORDS.keys()}
    return splits.pop() if len(splits) == 1 else None


def with_split(name: str, split: str) -> str:
    """A name with another word for its split; without the word if `split` is empty.

    >>> with_split("fashion-mnist_train.csv", "test"), with_split("fashion-mnist_train", "")
    ('fashion-mnist_test.csv', 'fashion-mnist')
    """
    before = r"(^|[^a-z0-9])" if split else r"(^|[^a-z0-9]+)"
    pattern = rf"{before}({'|'.join(SPLIT_WORDS)})(?=[^a-z0-9]|$)"
    replaced = re.sub(pattern, rf"\g<1>{split}" if split else "", name, flags=re.I)
    return replaced if split else replaced.strip("-_. ")
