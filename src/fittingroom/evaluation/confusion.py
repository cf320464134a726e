"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError
from fittingroom.evaluation.frames import frame

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class TakenFor:
    """A wrong class: its index, how many images went there, their share of the true class."""

    index: int
    count: float
    share: float


@dataclass(frozen=True)
class HardestClass:
    """The class with the lowest recall and where its wrong images went, most common first."""

    index: int
    recall: float
    taken_for: tuple[TakenFor, ...]

    def to_dict(self) -> dict[str, object]:
        return {
            "index": self.index,
            "recall": self.recall,
            "taken_for": [
                {"index": wrong.index, "count": wrong.count, "share": wrong.share}
                for wrong in self.taken_for
            ],
        }


@dataclass(frozen=True)
class ClassScores:
    """A line of a classification report; a share that is not defined is None."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: float  # images; over several seeds' mean matrix a whole number all the same


@dataclass(frozen=True)
class ClassificationReport:
    """Precision, recall and F1 of each class, and their means.

    `macro` counts each class the same, leaving out those that are not defined; `weighted` counts
    each by its images.
    """

    classes: tuple[ClassScores, ...]
    macro: ClassScores
    weighted: ClassScores
    accuracy: float

    def to_dict(self) -> dict[str, object]:
        return asdict(self)

    def to_frame(self) -> DataFrame:
        """A line a class and the two means, named. Raises UsageError without pandas."""
        return frame(map(asdict, (*self.classes, self.macro, self.weighted)), index="name")


@dataclass(frozen=True)
class Confused:
    """Two classes and how many images of each are taken for the other."""

    first: int
    second: int
    first_as_second: float
    second_as_first: float

    @property
    def count(self) -> float:
        return self.first_as_second + self.second_as_first


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Counts (c, c): a row is a true class, a column a predicted one.

    Whole numbers for one set of predictions; means over seeds may have a fraction.
    `recall`, `precision` and `f1` are (c,) with NaN where a class gives no answer: no image of
    it (recall), no prediction of it (precision), neither (F1).
    """

    counts: NDArray[np.int64] | NDArray[np.float64]

    @property
    def recall(self) -> NDArray[np.float64]:
        return _share(np.diag(self.counts), self.counts.sum(axis=1))

    @property
    def precision(self) -> NDArray[np.float64]:
        return _share(np.diag(self.counts), self.counts.sum(axis=0))

    @property
    def f1(self) -> NDArray[np.float64]:
        # 2TP / (2TP + FP + FN): defined as soon as the class occurs on either side.
        occurrences = self.counts.sum(axis=0) + self.counts.sum(axis=1)
        return _share(2 * np.diag(self.counts), occurrences)

    def report(self, class_names: Sequence[str]) -> ClassificationReport:
        """What scikit-learn's `classification_report` prints, as numbers."""
        self._check_names(class_names)
        support = self.counts.sum(axis=1).astype(np.float64)
        columns = {"precision": self.precision, "recall": self.recall, "f1": self.f1}

        def line(name: str, values: Mapping[str, float], images: float) -> ClassScores:
            shares = {key: None if np.isnan(v) else float(v) for key, v in values.items()}
            return ClassScores(name=name, support=float(images), **shares)

        def mean(name: str, weights: NDArray[np.float64]) -> ClassScores:
            of_defined = {key: _mean(column, weights) for key, column in columns.items()}
            return line(name, of_defined, support.sum())

        return ClassificationReport(
            classes=tuple(
                line(name, {key: column[i] for key, column in columns.items()}, support[i])
                for i, name in enumerate(class_names)
            ),
            macro=mean("macro average", np.ones_like(support)),
            weighted=mean("weighted average", support),
            accuracy=float(np.trace(self.counts) / self.counts.sum()),
        )

    def most_confused(self, at_most: int = 5) -> tuple[Confused, ...]:
        """The pairs of classes with most images taken for one another, most first."""
        off = np.triu(self.counts + self.counts.T, 1)
        order = np.argsort(-off, axis=None, kind="stable")[:at_most]
        pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, off.shape), strict=True)]
        return tuple(
            Confused(i, j, float(self.counts[i, j]), float(self.counts[j, i]))
            for i, j in pairs
            if off[i, j] > 0
        )

    def hardest(self) -> HardestClass:
        """The class with the lowest recall; of equal ones the first."""
        index = int(np.nanargmin(self.recall))
        row = self.counts[index]
        total = float(row.sum())
        # A stable sort keeps equal counts in the order of the classes.
        wrong = [int(j) for j in np.argsort(-row, kind="stable") if j != index and row[j] > 0]
        return HardestClass(
            index=index,
            recall=float(row[index]) / total,
            taken_for=tuple(TakenFor(j, float(row[j]), float(row[j]) / total) for j in wrong),
        )

    def hardest_sentence(self, class_names: Sequence[str], at_most: int = 3) -> str:
        """`hardest` in words, as "Shirt is the hardest class: 61% correct; confused with Coat 9%."

        At most `at_most` wrong classes are named. Shares have one decimal where the class is
        nearly always right, so that its few mistakes are not rounded away.
        """
        self._check_names(class_names)
        hardest = self.hardest()
        if not hardest.taken_for:
            return "No class is hardest: every image is classified correctly."
        digits = 0 if hardest.recall < 0.9 else 1
        wrong = ", ".join(
            f"{class_names[taken.index]} {taken.share:.{digits}%}"
            for taken in hardest.taken_for[:at_most]
        )
        name, right = class_names[hardest.index], f"{hardest.recall:.{digits}%}"
        return f"{name} is the hardest class: {right} correct; confused with {wrong}."

    def to_frame(self, class_names: Sequence[str]) -> DataFrame:
        """True classes as lines, predicted ones as columns. Raises UsageError without pandas."""
        self._check_names(class_names)
        rows = [
            {"class": name, **dict(zip(class_names, row, strict=True))}
            for name, row in zip(class_names, self.counts.tolist(), strict=True)
        ]
        return frame(rows, index="class")

    def _check_names(self, class_names: Sequence[str]) -> None:
        if len(class_names) != len(self.counts):
            raise InputError(
                f"{len(class_names)} class names for a matrix of {len(self.counts)} classes; "
                "give one name a class."
            )

    def to_dict(self) -> dict[str, object]:
        """Plain lists; a figure that is not defined is None, never NaN."""
        return {
            "counts": self.counts.tolist(),
            "recall": _numbers(self.recall),
            "precision": _numbers(self.precision),
            "f1": _numbers(self.f1),
        }


def confusion_matrix(
    predictions: NDArray[np.integer] | NDArray[np.floating],
    labels: NDArray[np.integer],
    n_classes: int,
) -> ConfusionMatrix:
    """Count (true, predicted) pairs.

    `predictions` are class indices (n,) or probabilities (n, n_classes), whose largest counts;
    `labels` are (n,). Raises InputError where shapes or class indices don't fit.
    """
    predicted = predictions.argmax(axis=1) if predictions.ndim == 2 else predictions
    if predicted.shape != labels.shape or labels.ndim != 1 or len(labels) == 0:
        raise InputError(
            f"{predictions.shape} predictions don't fit {labels.shape} labels; "
            "give one of each for every image."
        )
    lowest = min(predicted.min(), labels.min())
    highest = max(predicted.max(), labels.max())
    if lowest < 0 or highest >= n_classes:
        raise InputError(
            f"class {lowest if lowest < 0 else highest} is not among the {n_classes} classes; "
            "class indices run from 0."
        )
    cells = labels.astype(np.int64) * n_classes + predicted.astype(np.int64)
    counts = np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)
    return ConfusionMatrix(counts.astype(np.int64))


def mean_confusion(matrices: Sequence[ConfusionMatrix]) -> ConfusionMatrix:
    """The mean of several seeds' matrices, so that its cells still sum to the number of images."""
    if not matrices:
        raise InputError("no confusion matrix to average; give at least one.")
    return ConfusionMatrix(np.mean([matrix.counts for matrix in matrices], axis=0))


def _share(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    shares = np.full(len(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _mean(shares: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The weighted mean of those that are defined; NaN where none is."""
    defined = ~np.isnan(shares)
    total = weights[defined].sum()
    return float(shares[defined] @ weights[defined] / total) if total else float("nan")


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
