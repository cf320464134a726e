"""Everything that a page shows of a comparison's models, computed from saved runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.bench.leaderboard import Leaderboard, Pair, leaderboard_and_runs
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import StoreError
from fittingroom.evaluation.agreement import (
    Agreement,
    agreement,
    average,
    fit_weights,
    wrong_for_all,
)
from fittingroom.evaluation.calibration import (
    Reliability,
    at_temperature,
    fit_temperature,
    reliability,
)
from fittingroom.evaluation.confusion import ClassificationReport, ConfusionMatrix
from fittingroom.evaluation.examples import fixed
from fittingroom.evaluation.intervals import wilson
from fittingroom.evaluation.label_quality import LabelSuspects, label_suspects
from fittingroom.evaluation.metrics import accuracy, correctness
from fittingroom.runs.run import Part, Run
from fittingroom.runs.store import Store

if TYPE_CHECKING:
    from fittingroom.models.layers import Layer

#: Models whose average is tried.
AVERAGED = 3

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class EpochFigures:
    """A line of a run's `history.csv`."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be trusted, on the test images, before and after a temperature.

    The temperature was fitted on validation images that nothing else was chosen by.
    """

    temperature: float
    images: int  # it was fitted on
    before: Reliability
    after: Reliability

    def to_dict(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


@dataclass(frozen=True, eq=False)
class ModelStudy:
    """One model of the table; what needs a single fit is of its first seed.

    Attributes
    ----------
    model : its name in the table
    seed : the first
    parameters : what the run was asked
    layers : of a network of the catalogue, else empty
    history : of a network, else empty
    confusion : mean over seeds
    probabilities : (n, classes) for the test images, of the first seed
    calibration : None where the data set isn't at hand or the validation images were trained on
    """

    model: str
    seed: int
    parameters: Mapping[str, Any]
    layers: tuple[Layer, ...]
    history: tuple[EpochFigures, ...]
    kept_epoch: int | None
    confusion: ConfusionMatrix
    report: ClassificationReport
    probabilities: Probabilities
    calibration: Calibration | None

    def to_dict(self) -> dict[str, Any]:
        """The figures; the probabilities are in the run."""
        return {
            "model": self.model,
            "seed": self.seed,
            "parameters": dict(self.parameters),
            "kept_epoch": self.kept_epoch,
            "confusion": self.confusion.to_dict(),
            "report": self.report.to_dict(),
            "calibration": self.calibration.to_dict() if self.calibration else None,
        }


@dataclass(frozen=True, eq=False)
class PairStudy:
    """Two models that can't be told apart: what the second got right that the first didn't.

    `fixed` and `broken` are positions of test images, of the first seeds, most gained or lost
    first.
    """

    pair: Pair
    fixed: NDArray[np.int64]
    broken: NDArray[np.int64]


@dataclass(frozen=True)
class AverageScore:
    """What an average of the best models scores; chosen and weighed on validation images alone."""

    weights: Mapping[str, float]
    accuracy: float
    ci95: tuple[float, float]
    best_accuracy: float  # of its best model alone, on the same images, first seed


@dataclass(frozen=True, eq=False)
class TrainSuspects:
    """Training labels that cross-validated models contradict: by their average, where several.

    `labels` (n,) are those of all training images, `suspects` their positions.
    """

    models: tuple[str, ...]
    labels: Labels
    suspects: LabelSuspects


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How much a model's score hangs on test labels that are doubtful.

    The suspects are found by the average of the other models, this one left out; `without` is its
    accuracy on all other images, of its first seed as `accuracy` is.
    """

    suspects: LabelSuspects
    accuracy: float
    without: float


@dataclass(frozen=True, eq=False)
class Study:
    """A comparison, studied.

    Attributes
    ----------
    labels : (n,) of the test images
    wrong_for_all : positions of the test images that every model gets wrong
    train_suspects : where a model was cross-validated
    sensitivity : by model, where there are at least two; none of a model whose others doubt all
    """

    board: Leaderboard
    labels: Labels
    models: Mapping[str, ModelStudy]
    close_pairs: tuple[PairStudy, ...]
    agreement: Agreement | None
    wrong_for_all: NDArray[np.int64]
    average: AverageScore | None
    train_suspects: TrainSuspects | None
    sensitivity: Mapping[str, Sensitivity]

    @property
    def order_changes(self) -> bool:
        """Whether the models' accuracies without doubtful labels stand in another order."""
        scores = self.sensitivity
        by_all = sorted(scores, key=lambda model: -scores[model].accuracy)
        return by_all != sorted(scores, key=lambda model: -scores[model].without)

    def to_dict(self) -> dict[str, Any]:
        """`study.json`."""
        return {
            "schema_version": 1,
            "models": [study.to_dict() for study in self.models.values()],
            "agreement": self.agreement.to_dict() if self.agreement else None,
            "wrong_for_all": self.wrong_for_all.tolist(),
            "average": vars(self.average) if self.average else None,
            "label_quality": {
                "train": None
                if self.train_suspects is None
                else {
                    "models": list(self.train_suspects.models),
                    **self.train_suspects.suspects.to_dict(),
                },
                "test": {
                    model: {
                        "suspects": len(found.suspects),
                        "accuracy": found.accuracy,
                        "accuracy_without": found.without,
                    }
                    for model, found in self.sensitivity.items()
                },
            },
        }


def study(store: Store, dataset: Dataset | None = None) -> Study:
    """Study the models of the store's table.

    Parameters
    ----------
    store : holds the runs
    dataset : the one that they were fitted on; only its training labels are looked at, which say
        which validation images temperatures may be fitted on

    Raises
    ------
    StoreError : a file of the store is damaged
    """
    saved = store.saved()
    return study_of(*leaderboard_and_runs(store, saved), saved.runs, dataset)


def study_of(
    board: Leaderboard,
    finished: Mapping[str, Sequence[Run]],
    saved: Sequence[Run],
    dataset: Dataset | None = None,
) -> Study:
    """Study the models of a table that was computed already; the same is raised as by `study`.

    Parameters
    ----------
    board, finished : as `leaderboard_and_runs` gives them
    saved : every run of the store
    dataset : as for `study`
    """
    runs = {
        label: found
        for label, found in finished.items()
        if all(run.test is not None for run in found)
    }
    order = [row.model for row in board.rows if row.model in runs]
    unseen = None  # the even positions of those that nothing else is chosen by
    if dataset is not None and any(found[0].validation for found in runs.values()):
        unseen = validation_split(dataset.train.labels).calibrate[::2]
    models = {label: _model(label, runs[label], board, unseen) for label in order}
    labels = _test(runs[order[0]][0]).labels if order else np.empty(0, np.int64)
    probabilities = {label: model.probabilities for label, model in models.items()}
    return Study(
        board=board,
        labels=labels,
        models=models,
        close_pairs=tuple(_close_pairs(board, models, labels)),
        agreement=agreement(probabilities, labels) if models else None,
        wrong_for_all=wrong_for_all([*probabilities.values()], labels) if models else labels,
        average=_average(runs, models, labels),
        train_suspects=_train_suspects(saved, len(board.class_names), dataset),
        sensitivity=_sensitivity(models, labels),
    )


def _model(
    label: str, runs: Sequence[Run], board: Leaderboard, unseen: NDArray[np.int64] | None
) -> ModelStudy:
    first = runs[0]
    confusion = board.confusions[label]
    return ModelStudy(
        model=label,
        seed=first.record.asked.seed,
        parameters=first.record.asked.parameters,
        layers=_layers(first, len(board.class_names)),
        history=_history(first),
        kept_epoch=first.record.kept_epoch,
        confusion=confusion,
        report=confusion.report(board.class_names),
        probabilities=_test(first).probabilities,
        calibration=_calibration(first, unseen),
    )


def _test(run: Run) -> Part:
    assert run.test is not None, "only runs that read the test split are studied"
    return run.test


def _layers(run: Run, n_classes: int) -> tuple[Layer, ...]:
    asked = run.record.asked.parameters
    if run.record.family != "network" or not isinstance(asked.get("net"), str):
        return ()
    from fittingroom.bundles.weights import modest_options
    from fittingroom.models.layers import layers_of

    options = asked.get("net_options") or {}
    try:
        height, width = asked.get("image_shape") or (28, 28)
        checked = modest_options(asked["net"], options, (height, width), n_classes)
        return layers_of(asked["net"], checked, (height, width), n_classes)
    except Exception:  # a stranger may have written the record, and pages do without
        return ()


def _history(run: Run) -> tuple[EpochFigures, ...]:
    return tuple(
        EpochFigures(
            epoch=epoch.epoch,
            train_loss=epoch.train_loss,
            train_accuracy=epoch.train_accuracy,
            validation_loss=epoch.validation_loss,
            validation_accuracy=epoch.validation_accuracy,
        )
        for epoch in run.history
    )


def _calibration(run: Run, unseen: NDArray[np.int64] | None) -> Calibration | None:
    """`unseen` are the validation images to fit the temperature on."""
    validation, test = run.validation, _test(run)
    if unseen is None or validation is None:
        return None
    chosen = np.isin(validation.index, unseen)
    temperature = fit_temperature(validation.probabilities[chosen], validation.labels[chosen])
    return Calibration(
        temperature=temperature,
        images=int(chosen.sum()),
        before=reliability(test.probabilities, test.labels),
        after=reliability(at_temperature(test.probabilities, temperature), test.labels),
    )


def _close_pairs(
    board: Leaderboard, models: Mapping[str, ModelStudy], labels: Labels
) -> list[PairStudy]:
    """The pairs that can't be told apart, in the order of the table."""
    alike = {row.model: row.indistinguishable_from for row in board.rows}
    return [
        PairStudy(
            pair=pair,
            fixed=fixed(models[pair.a].probabilities, models[pair.b].probabilities, labels),
            broken=fixed(models[pair.b].probabilities, models[pair.a].probabilities, labels),
        )
        for pair in board.pairs
        if pair.b in alike[pair.a] and pair.a in models and pair.b in models
    ]


def _average(
    runs: Mapping[str, Sequence[Run]], models: Mapping[str, ModelStudy], labels: Labels
) -> AverageScore | None:
    """The average of the models that are best on the validation images, weighed on them."""
    known = {label: found[0].validation for label, found in runs.items() if found[0].validation}
    if len(known) < AVERAGED:
        return None
    scores = {label: accuracy(part.probabilities, part.labels) for label, part in known.items()}
    best = sorted(scores, key=lambda label: -scores[label])[:AVERAGED]
    parts = [known[label] for label in best]
    weights = fit_weights([part.probabilities for part in parts], parts[0].labels)
    mean = average([models[label].probabilities for label in best], weights)
    right = correctness(mean, labels)
    return AverageScore(
        weights=dict(zip(best, weights, strict=True)),
        accuracy=float(right.mean()),
        ci95=wilson(int(right.sum()), len(right)).bounds,
        best_accuracy=accuracy(models[best[0]].probabilities, labels),
    )


def _train_suspects(
    saved: Sequence[Run], n_classes: int, dataset: Dataset | None
) -> TrainSuspects | None:
    """The training labels that cross-validated models contradict together."""
    parts: list[tuple[str, Part]] = []
    for run in saved:
        with suppress(StoreError):  # of a run that can't be read
            part = run.out_of_fold if run.record.asked.folds else None
            if part is not None and _is_whole(part, n_classes, dataset):
                parts.append((run.record.label, part))
    if not parts:
        return None
    labels = parts[0][1].labels
    alike = [(label, part) for label, part in parts if np.array_equal(part.labels, labels)]
    return TrainSuspects(
        models=tuple(label for label, _ in alike),
        labels=labels,
        suspects=label_suspects(average([part.probabilities for _, part in alike]), labels),
    )


def _is_whole(part: Part, n_classes: int, dataset: Dataset | None) -> bool:
    """Whether a part may be what a cross-validation says of the training split."""
    if part.fault is not None or part.probabilities.shape[1] != n_classes:
        return False
    if dataset is not None and not np.array_equal(part.labels, dataset.train.labels):
        return False
    return np.array_equal(part.index, np.arange(len(part.index)))


def _sensitivity(models: Mapping[str, ModelStudy], labels: Labels) -> dict[str, Sensitivity]:
    if len(models) < 2:
        return {}
    found = {}
    for label, model in models.items():
        others = [other.probabilities for name, other in models.items() if name != label]
        suspects = label_suspects(average(others), labels)
        right = correctness(model.probabilities, labels)
        kept = np.ones(len(labels), bool)
        kept[suspects.positions] = False
        if not kept.any():  # contradicted wholly: it isn't single labels that are wrong
            continue
        found[label] = Sensitivity(suspects, float(right.mean()), float(right[kept].mean()))
    return found
