"""Sentences on a data set, each computed from its exploration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fittingroom.bench.comparison.recipes import are_unbalanced
from fittingroom.reporting.words import MOST, listed, short_names

if TYPE_CHECKING:
    from fittingroom.bench.explore import Exploration


@dataclass(frozen=True)
class Finding:
    """What whoever uses the data should know; `section` of the page shows more of it.

    `choices` are those of the section's form, as in an address.
    """

    text: str
    section: str = ""
    choices: str = ""


def findings(exploration: Exploration) -> list[Finding]:
    """What is wrong with the data, the gravest first, and then what isn't."""
    wrong = [
        *_missing_classes(exploration),
        *_copied_test_images(exploration),
        *_contradictions(exploration),
        *_unbalanced_classes(exploration),
        *_copies_within(exploration),
    ]
    good = _what_is_not_wrong(exploration)
    return [*wrong, Finding(good)] if good else wrong


def _missing_classes(exploration: Exploration) -> Iterator[Finding]:
    data = exploration.description
    for what, split in (("training", data.train), ("test", data.test)):
        missing = [name for name in data.class_names if not split.counts[name]]
        if missing:
            yield Finding(f"No {what} image is of class {_either(missing)}.", "classes")


def _either(names: list[str]) -> str:
    """ "a", "a or b", "a, b or c"; of many names three and the number of others."""
    short = short_names(tuple(names))
    if len(short) > MOST:
        short = (*short[:3], f"{len(short) - 3} others")
    return " or ".join(filter(None, [", ".join(short[:-1]), short[-1]]))


def _copied_test_images(exploration: Exploration) -> Iterator[Finding]:
    exact, near = exploration.copies["between"], nearly_copied(exploration)
    of = f"of {exploration.searched['test']:,} test images"
    if exact:
        copy = "copies a training image" if exact == 1 else "copy training images"
        also = f", and {near:,} more nearly {'does' if near == 1 else 'do'}" if near else ""
        text = f"{exact:,} {of} {copy}, pixel for pixel{also}."
    elif near:
        copy = "copies a training image" if near == 1 else "copy training images"
        text = f"{near:,} {of} nearly {copy}."
    else:
        return
    yield Finding(text, "duplicates", "where=between")


def nearly_copied(exploration: Exploration) -> int:
    """How many test images are near-duplicates, but not copies, of a training image."""
    least: dict[int, float] = {}
    for pair in exploration.near_duplicates:  # nearest first
        if pair.where == "between":
            least.setdefault(pair.first.position, pair.distance)
    return sum(distance > 0 for distance in least.values())


def _contradictions(exploration: Exploration) -> Iterator[Finding]:
    pairs = exploration.near_duplicates
    different = [pair for pair in pairs if pair.first.label != pair.second.label]
    if not different:
        return
    identical = sum(pair.distance == 0 for pair in different)
    near = len(different) - identical
    counts = [
        f"{count:,} {'pair' if count == 1 else 'pairs'} of {kind}"
        for count, kind in ((identical, "identical images"), (near, "near-duplicates"))
        if count
    ]
    verb = "has" if len(different) == 1 else "have"
    yield Finding(f"{listed(counts)} {verb} different labels.", "duplicates", "labels=different")


def _unbalanced_classes(exploration: Exploration) -> Iterator[Finding]:
    data = exploration.description
    names = short_names(data.class_names)
    for what, split in (("training", data.train), ("test", data.test)):
        counts = np.array([*split.counts.values()])
        if not _are_unbalanced(counts):
            continue
        least = int(np.where(counts > 0, counts, counts.max()).argmin())
        most = int(counts.argmax())
        yield Finding(
            f"Classes are unbalanced: {counts[most]:,} {what} images of {names[most]}, "
            f"{counts[least]:,} of {names[least]}.",
            "classes",
        )
        return


def _are_unbalanced(counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
    return are_unbalanced(np.repeat(np.arange(len(counts)), counts))


def _copies_within(exploration: Exploration) -> Iterator[Finding]:
    copies = exploration.copies
    pairs = ((copies["train"], "training"), (copies["test"], "test"))
    parts = [_copying(count, what, what) for count, what in pairs if count]
    if parts:
        yield Finding(f"{listed(parts)}.", "duplicates", "kind=identical")


def _what_is_not_wrong(exploration: Exploration) -> str:
    """Which of copies between the splits and unbalanced classes there are none of."""
    data, good = exploration.description, []
    if not exploration.copies["between"] and not nearly_copied(exploration):
        good.append(f"no test image copies a training image{_among(exploration)}")
    counts = [np.array([*split.counts.values()]) for split in (data.train, data.test)]
    if all(count.min() == count.max() for count in counts):
        good.append("classes are balanced")
    elif all(count.min() > 0 and not _are_unbalanced(count) for count in counts):
        good.append("no class has more than twice as many images as another")
    text = "; ".join(good)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _among(exploration: Exploration) -> str:
    """How many images were searched, if not all."""
    data, searched = exploration.description, exploration.searched
    if (data.train.images, data.test.images) == (searched["train"], searched["test"]):
        return ""
    return f" among the first {search_size(exploration)}"


def size(exploration: Exploration) -> str:
    """The size of a data set."""
    data = exploration.description
    height, width = data.shape
    counts = [*data.train.counts.values()]
    least, most = min(counts), max(counts)
    per_class = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    return (
        f"{data.train.images:,} training and {data.test.images:,} test images of "
        f"{height}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}{width} greyscale pixels in "
        f"{len(data.class_names)} classes, with {per_class} training images per class."
    )


def copies(exploration: Exploration) -> str:
    """How many images are exact duplicates."""
    copies = exploration.copies
    if not any(copies.values()):
        return "There are no exact duplicates."
    counts = (
        _copying(copies["train"], "training", "training"),
        _copying(copies["test"], "test", "test"),
        _copying(copies["between"], "test", "training"),
    )
    return f"Exact duplicates: {listed(counts)}."


def _copying(count: int, what: str, of: str) -> str:
    """ "1 test image copies a training image", "3 test images copy other test images"."""
    other = "other " if of == what else ""
    if count == 1:
        return f"1 {what} image copies {'another' if other else 'a'} {of} image"
    return f"{count:,} {what} images copy {other}{of} images"


def near_duplicates(exploration: Exploration) -> str:
    """How many pairs are near-duplicates."""
    pairs = exploration.near_duplicates
    counts = Counter(pair.where for pair in pairs)
    return (
        f"{len(pairs):,} pairs differ by at most {exploration.near:g} of 255 (root "
        f"mean square over pixels): {counts['train']:,} within the training split, "
        f"{counts['test']:,} within the test split, {counts['between']:,} between the two."
    )


def search_size(exploration: Exploration) -> str:
    """How many images of each split were searched for neighbours."""
    train, test = exploration.searched["train"], exploration.searched["test"]
    return f"{train:,} training images and {test:,} test images"
