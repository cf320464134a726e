from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.bench.comparison.averaged import AVERAGED, Member, average_of_best
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.evaluation.calibration import at_temperature
from fittingroom.evaluation.intervals import wilson
from fittingroom.evaluation.metrics import accuracy, log_loss
from fittingroom.runs.run import Part
from fittingroom.runs.store import find_store


def test_the_average_is_of_calibrated_models_and_chosen_on_the_selection_half(
    compared: Analysis, compared_runs: Path, small: Dataset
) -> None:
    average, split = compared.average, validation_split(small.train.labels)
    assert average is not None
    assert len(average.weights) == AVERAGED
    assert sum(average.weights.values()) == pytest.approx(1)
    first: dict[str, Part] = {}
    for run in find_store(compared_runs).runs():
        if run.validation is not None:
            first.setdefault(run.record.spec.model, run.validation)
    parts = {name: part.among(split.selection) for name, part in first.items()}
    scores = {name: accuracy(part.probabilities, part.labels) for name, part in parts.items()}
    least = min(scores[name] for name in average.weights)
    assert least >= max(scores[name] for name in set(scores) - set(average.weights))

    def at_own(name: str, probabilities: np.ndarray) -> np.ndarray:
        calibration = compared.models[name].calibration
        assert calibration is not None
        return at_temperature(probabilities, calibration.temperature)

    calibrated = {name: at_own(name, parts[name].probabilities) for name in average.weights}
    mixed = sum(weight * calibrated[name] for name, weight in average.weights.items())
    labels = next(iter(parts.values())).labels
    assert log_loss(np.asarray(mixed), labels) <= min(
        log_loss(member, labels) for member in calibrated.values()
    )
    tested = {name: at_own(name, compared.models[name].probabilities) for name in average.weights}
    mixed = sum(weight * tested[name] for name, weight in average.weights.items())
    assert average.accuracy == accuracy(np.asarray(mixed), compared.labels)
    assert average.log_loss == pytest.approx(log_loss(np.asarray(mixed), compared.labels))
    best = next(iter(average.weights))
    assert average.best_log_loss == pytest.approx(log_loss(tested[best], compared.labels))
    right = round(average.accuracy * len(small.test))
    assert average.these_fits_ci95 == wilson(right, len(small.test)).bounds


def members(labels: np.ndarray, *wrong: int) -> dict[str, Member]:
    """Models with so many images wrong, the same on both splits, with probability 0.8."""
    made = {}
    for number, count in enumerate(wrong):
        predicted = np.where(np.arange(len(labels)) < count, 1 - labels, labels)
        probabilities = np.where(np.eye(2)[predicted] == 1, 0.8, 0.2).astype(np.float32)
        part = Part(np.arange(len(labels)), probabilities, labels)
        made[f"model-{number}"] = Member(selection=part, test=part, temperature=1.0)
    return made


def test_of_fewer_models_there_is_no_average() -> None:
    labels = np.arange(40) % 2
    assert average_of_best(members(labels, 2, 4)) is None
    score = average_of_best(members(labels, 9, 2, 4, 6))
    assert score is not None
    assert list(score.weights) == ["model-1", "model-2", "model-3"]


def test_copies_count_once_in_the_interval_of_the_average() -> None:
    labels = np.repeat(np.arange(20) % 2, 2)
    score = average_of_best(members(labels, 4, 4, 4), copies=np.arange(40) // 2)
    assert score is not None
    assert score.accuracy == 0.9
    assert score.these_fits_ci95 == pytest.approx(wilson(18, 20).bounds, abs=0.01)


def test_of_unbalanced_classes_the_average_has_a_balanced_accuracy() -> None:
    """Chosen by it, too: the model with the most images right leaves out the small class."""
    labels = np.repeat([0, 1], [90, 10])
    made = members(labels, 12, 14, 16)
    blind = np.tile(np.array([0.8, 0.2], np.float32), (100, 1))
    part = Part(np.arange(100), blind, labels)
    made["blind"] = Member(selection=part, test=part, temperature=1.0)
    plain, balanced = (average_of_best(made, balanced=each) for each in (False, True))
    assert plain is not None
    assert balanced is not None
    assert "blind" in plain.weights
    assert "blind" not in balanced.weights
    assert balanced.best_accuracy == pytest.approx((78 / 90 + 1) / 2)
    low, high = balanced.these_fits_ci95
    assert low < balanced.accuracy < high
