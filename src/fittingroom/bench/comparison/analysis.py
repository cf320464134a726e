"""Everything that a page shows about the models of a comparison, computed from saved runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fittingroom.bench.comparison.averaged import AverageScore, Member, average_of_best
from fittingroom.bench.comparison.doubtful import (
    Sensitivity,
    TrainSuspects,
    sensitivity_of,
    train_suspects_of,
)
from fittingroom.bench.comparison.leaderboard import Leaderboard, leaderboard_and_runs
from fittingroom.bench.comparison.rows import Pair
from fittingroom.data.dataset import Dataset
from fittingroom.evaluation.agreement import Agreement, agreement, wrong_for_all
from fittingroom.evaluation.calibration import (
    Reliability,
    at_temperature,
    fit_temperature,
    reliability,
)
from fittingroom.evaluation.conformal import (
    SetCoverage,
    class_quantiles,
    conformal_quantile,
    prediction_sets,
    set_coverage,
)
from fittingroom.evaluation.confusion import ClassificationReport, ConfusionMatrix
from fittingroom.evaluation.examples import newly_correct, surest_mistakes
from fittingroom.runs.run import Part, Run
from fittingroom.runs.store import Store

if TYPE_CHECKING:
    from fittingroom.models.layer import Layer

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float32]


@dataclass(frozen=True)
class EpochFigures:
    """One line of a run's `history.csv`."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None


class Halves(NamedTuple):
    """A run's predictions for the two halves of the validation part."""

    selection: Part
    calibration: Part


@dataclass(frozen=True)
class Calibration:
    """Calibration on the test images, before and after temperature scaling.

    The temperature is fitted on validation images that choose nothing else.
    """

    temperature: float
    images: int  # that the temperature was fitted on
    before: Reliability
    after: Reliability
    sets: SetCoverage  # 90% prediction sets, with one threshold
    class_sets: SetCoverage | None  # with one per class; None if one has too few images

    def to_dict(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "sets": self.sets.to_dict(),
            "class_sets": self.class_sets.to_dict() if self.class_sets else None,
        }


@dataclass(frozen=True, eq=False)
class ModelAnalysis:
    """One model of the table; what describes a single fit is of its first seed.

    Attributes
    ----------
    model : its name in the table
    seed : the first
    parameters : of the run's spec
    layers : of a network of the catalogue, else empty
    history : of a network, else empty
    confusion : mean over seeds
    probabilities : (n, classes) for the test images, of the first seed
    calibration : None if the run was trained on the validation images, or if version 0.1 saved it
        and the data set isn't given
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
class PairAnalysis:
    """Two models that can't be told apart, and the test images on which they differ.

    `fixed` are positions of images that only the second model has right, `broken` of those that
    only the first one has, by their first seeds, largest gain or loss first.
    """

    pair: Pair
    fixed: NDArray[np.int64]
    broken: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Analysis:
    """The analysis of a comparison.

    Attributes
    ----------
    labels : (n,) of the test images
    wrong_for_all : positions of the test images that every model gets wrong
    train_suspects : if a model was cross-validated
    """

    board: Leaderboard
    labels: Labels
    models: Mapping[str, ModelAnalysis]
    close_pairs: tuple[PairAnalysis, ...]
    agreement: Agreement | None
    wrong_for_all: NDArray[np.int64]
    average: AverageScore | None
    train_suspects: TrainSuspects | None
    sensitivity: Sensitivity | None

    def surest_mistakes(self, model: str, at_most: int = 10) -> NDArray[np.int64]:
        """Positions of the test images that a model misclassifies, the most confident first."""
        return surest_mistakes(self.models[model].probabilities, self.labels, at_most)

    def to_dict(self) -> dict[str, Any]:
        """`study.json`."""
        return {
            "schema_version": 2,
            "models": [model.to_dict() for model in self.models.values()],
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
                "test": None
                if self.sensitivity is None
                else {
                    "doubtful": self.sensitivity.doubtful.tolist(),
                    "accuracy": dict(self.sensitivity.accuracy),
                    "accuracy_without": dict(self.sensitivity.without),
                },
            },
        }


def analyse(store: Store, dataset: Dataset | None = None) -> Analysis:
    """Analyse the models of the store's table.

    Parameters
    ----------
    store : holds the runs
    dataset : of the runs; only its training labels are used, to judge cross-validations and to
        split the validation part of version 0.1's runs into halves

    Raises
    ------
    StoreError : a file of the store is damaged
    """
    saved = store.saved()
    return analyse_table(
        *leaderboard_and_runs(store, saved), saved.runs, dataset, store.card.copies
    )


def analyse_table(
    board: Leaderboard,
    finished: Mapping[str, Sequence[Run]],
    saved: Sequence[Run],
    dataset: Dataset | None = None,
    copies: NDArray[np.int64] | None = None,
) -> Analysis:
    """Analyse the models of a table that is already computed; raises as `analyse`.

    Parameters
    ----------
    board, finished : as `leaderboard_and_runs` returns them
    saved : every run of the store
    dataset : as for `analyse`
    copies : of test images, see `Fits`
    """
    runs = {
        label: by_seed
        for label, by_seed in finished.items()
        if all(run.test is not None for run in by_seed)
    }
    order = [row.model for row in board.rows if row.model in runs]
    halves = {label: _halves(runs[label][0], dataset) for label in order}
    models = {label: _model(label, runs[label], board, halves[label]) for label in order}
    members = {
        label: Member(half.selection, _test(runs[label][0]), model.calibration.temperature)
        for label, model in models.items()
        if model.calibration and (half := halves[label])
    }
    labels = _test(runs[order[0]][0]).labels if order else np.empty(0, np.int64)
    probabilities = {label: model.probabilities for label, model in models.items()}
    return Analysis(
        board=board,
        labels=labels,
        models=models,
        close_pairs=tuple(_close_pairs(board, models, labels)),
        agreement=agreement(probabilities, labels) if models else None,
        wrong_for_all=wrong_for_all([*probabilities.values()], labels) if models else labels,
        average=average_of_best(members, copies, balanced=board.balanced),
        train_suspects=train_suspects_of(saved, len(board.class_names), dataset),
        sensitivity=sensitivity_of(probabilities, labels, balanced=board.balanced),
    )


def _model(
    label: str, runs: Sequence[Run], board: Leaderboard, halves: Halves | None
) -> ModelAnalysis:
    first = runs[0]
    confusion = board.confusions[label]
    return ModelAnalysis(
        model=label,
        seed=first.record.spec.seed,
        parameters=first.record.spec.parameters,
        layers=_layers(first, len(board.class_names)),
        history=_history(first),
        kept_epoch=first.record.kept_epoch,
        confusion=confusion,
        report=confusion.report(board.class_names),
        probabilities=_test(first).probabilities,
        calibration=_calibration(halves.calibration, _test(first)) if halves else None,
    )


def _halves(run: Run, dataset: Dataset | None) -> Halves | None:
    """A run's validation predictions by half, None if the halves are unknown."""
    part = run.validation
    if part is not None and part.selection is not None:
        return Halves(part[part.selection], part[~part.selection])
    if part is not None and dataset is not None:  # version 0.1 saved the run
        split = dataset.validation_split()
        return Halves(part.among(split.selection), part.among(split.calibration))
    return None


def _test(run: Run) -> Part:
    assert run.test is not None, "only runs that read the test split are analysed"
    return run.test


def _layers(run: Run, n_classes: int) -> tuple[Layer, ...]:
    if run.layers is not None:
        return run.layers
    parameters = run.record.spec.parameters  # an earlier version fitted it
    if run.record.family != "network" or not isinstance(parameters.get("net"), str):
        return ()
    from fittingroom.bundles.weights import modest_options
    from fittingroom.models.layers import layers_of

    options = parameters.get("net_options") or {}
    try:
        height, width = parameters.get("image_shape") or (28, 28)
        checked = modest_options(parameters["net"], options, (height, width), n_classes)
        return layers_of(parameters["net"], checked, (height, width), n_classes)
    except Exception:  # pages do without layers
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


def _calibration(half: Part, test: Part) -> Calibration:
    """Calibrate on the calibration half, as a bundle does.

    Every other image is used for the temperature, the remaining ones for the quantiles.
    """
    for_temperature, for_quantiles = half[::2], half[1::2]
    temperature = fit_temperature(for_temperature.probabilities, for_temperature.labels)
    quantile_data = at_temperature(for_quantiles.probabilities, temperature), for_quantiles.labels
    calibrated = at_temperature(test.probabilities, temperature)

    def sets(quantile: float | NDArray[np.float64]) -> SetCoverage:
        return set_coverage(prediction_sets(calibrated, quantile), test.labels)

    by_class = class_quantiles(*quantile_data)
    return Calibration(
        temperature=temperature,
        images=len(for_temperature.labels),
        before=reliability(test.probabilities, test.labels),
        after=reliability(calibrated, test.labels),
        sets=sets(conformal_quantile(*quantile_data)),
        class_sets=None if by_class is None else sets(by_class),
    )


def _close_pairs(
    board: Leaderboard, models: Mapping[str, ModelAnalysis], labels: Labels
) -> list[PairAnalysis]:
    """The pairs that can't be told apart, in the order of the table."""
    indistinguishable = {row.model: row.indistinguishable_from for row in board.rows}
    return [
        PairAnalysis(
            pair=pair,
            fixed=newly_correct(models[pair.a].probabilities, models[pair.b].probabilities, labels),
            broken=newly_correct(
                models[pair.b].probabilities, models[pair.a].probabilities, labels
            ),
        )
        for pair in board.pairs
        if pair.b in indistinguishable[pair.a] and pair.a in models and pair.b in models
    ]
