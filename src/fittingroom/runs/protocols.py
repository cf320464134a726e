"""Who trains, who is watched, who is predicted: the parts of the data that a run uses.

An honest run trains on the training part, watches the selection half of the validation part, and
predicts the validation part and the test split. A full one trains on the validation part too. A run
that re-creates a published figure uses the images as its source did, perhaps wrongly; its spec says
so, and no table of honest figures includes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from fittingroom.data.dataset import Dataset, Split
from fittingroom.data.splits import fold_of
from fittingroom.runs.spec import RunSpec

Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Protocol:
    """The parts of the data that a fit uses.

    Attributes
    ----------
    images : of which `train` and `watched` are positions
    train : what is trained on
    watched : what a network's epochs are judged by; None if nothing is
    predicted : what is predicted after the fit, by the name of the run's part
    train_until : a logged training accuracy to pass, and how many epochs then follow; None for the
        recipe's own epochs
    scales_test : False if the pixels to predict are left in 0..255
    """

    images: Split
    train: Positions
    watched: Positions | None
    predicted: Mapping[str, tuple[Split, Positions]]
    train_until: Mapping[str, Any] | None = None
    scales_test: bool = True


def protocol_of(spec: RunSpec, dataset: Dataset) -> Protocol:
    """The protocol of a single fit; for a cross-validation see :func:`folds`."""
    if spec.protocol is not None:
        return _source_protocol(spec.protocol, dataset)
    split = dataset.validation_split()
    predicted = {} if spec.full else {"validation": (dataset.train, split.validation)}
    if spec.reads_test:
        predicted["test"] = dataset.test, np.arange(len(dataset.test))
    return Protocol(
        images=dataset.train,
        train=np.arange(len(dataset.train)) if spec.full else split.train,
        watched=None if spec.full else split.selection,
        predicted=predicted,
    )


def folds(spec: RunSpec, dataset: Dataset) -> Iterator[Protocol]:
    """The protocols of a cross-validation's fits over the training split.

    Raises DataError if a class has fewer images than there are folds.
    """
    fold = fold_of(dataset.train.labels, spec.folds)
    for number in range(spec.folds):
        yield Protocol(
            images=dataset.train,
            train=np.flatnonzero(fold != number),
            watched=None,
            predicted={"out_of_fold": (dataset.train, np.flatnonzero(fold == number))},
        )


def split_as_used(
    dataset: Dataset, split: Mapping[str, Any]
) -> tuple[Positions, Positions, Positions]:
    """Split the images as a source did: by `train_test_split`, not stratified, in its order.

    Parameters
    ----------
    dataset : whose images are split
    split : `kind`, `test`, `validation` and `seed`, as in a claim's file

    Returns
    -------
    train, validation, test : positions in the training split followed by the test split
    """
    n, n_train = len(dataset.train) + len(dataset.test), len(dataset.train)
    if split["kind"] == "pooled":
        train, test = _hold_out(np.arange(n), split["test"], split["seed"])
    else:
        train, test = np.arange(n_train), np.arange(n_train, n)
    if not split["validation"]:
        return train, train[:0], test
    train, validation = _hold_out(train, split["validation"], split["seed"])
    return train, validation, test


def _source_protocol(protocol: Mapping[str, Any], dataset: Dataset) -> Protocol:
    """What a source did, according to the notes of its claim."""
    notes = set(protocol["notes"])
    train, validation, test = split_as_used(dataset, protocol["split"])
    pool = Split(
        np.concatenate([dataset.train.images, dataset.test.images]),
        np.concatenate([dataset.train.labels, dataset.test.labels]),
    )
    watched = test if "selected-on-test" in notes else validation
    measured = validation if "never-tested" in notes and len(validation) else test
    return Protocol(
        images=pool,
        train=test if "trained-on-test" in notes else train,
        watched=watched if len(watched) else None,
        predicted={"measured": (pool, measured)},
        train_until=protocol["until"] or None,
        scales_test="test-not-scaled" not in notes,
    )


def _hold_out(positions: Positions, share: float, seed: int) -> tuple[Positions, Positions]:
    rest, held_out = train_test_split(positions, test_size=share, random_state=seed)
    return rest, held_out
