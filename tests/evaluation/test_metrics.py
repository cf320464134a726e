"""metrics.py against scikit-learn, and the input that it refuses."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fittingroom.errors import InputError
from fittingroom.evaluation.metrics import (
    METRICS,
    accuracy,
    balanced_accuracy,
    correctness,
    find_fault,
    log_loss,
    macro_f1,
)

Predictions = tuple[NDArray[np.float32], NDArray[np.int64]]


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    """Probabilities (n, c) and labels (n,), with ties and with classes that never occur."""
    n, c = draw(st.integers(1, 40)), draw(st.integers(2, 6))
    weights = draw(hnp.arrays(np.float64, (n, c), elements=st.integers(1, 6)))
    labels = draw(hnp.arrays(np.int64, n, elements=st.integers(0, c - 1)))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), labels


@given(predictions())
def test_metrics_equal_scikit_learn(given_predictions: Predictions) -> None:
    probabilities, labels = given_predictions
    predicted = probabilities.argmax(axis=1)
    f1 = sklearn.metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    loss = sklearn.metrics.log_loss(labels, probabilities, labels=range(probabilities.shape[1]))
    assert accuracy(probabilities, labels) == pytest.approx(np.mean(predicted == labels))
    assert macro_f1(probabilities, labels) == pytest.approx(f1)
    assert log_loss(probabilities, labels) == pytest.approx(loss, rel=1e-4)


def test_of_equal_probabilities_the_first_counts() -> None:
    probabilities = np.array([[0.5, 0.5], [0.5, 0.5], [0.1, 0.9]], dtype=np.float32)
    assert correctness(probabilities, np.array([0, 1, 1])).tolist() == [True, False, True]


def test_log_loss_clips_at_1e_7() -> None:
    sure_and_wrong = np.array([[1.0, 0.0]])
    assert log_loss(sure_and_wrong, np.array([1])) == pytest.approx(7 * np.log(10))
    assert log_loss(sure_and_wrong, np.array([0])) == 0.0


def test_log_loss_of_float32_is_summed_in_float64() -> None:
    probabilities = np.full((200_000, 3), 1 / 3, dtype=np.float32)
    labels = np.zeros(200_000, dtype=np.int64)
    assert log_loss(probabilities, labels) == pytest.approx(np.log(3), rel=1e-7)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.full((3, 2), 0.5), np.array([0, 1]), r"\(3, 2\).*\(2,\)"),
        (np.full(3, 0.5), np.array([0, 1, 0]), "images, classes"),
        (np.empty((0, 2)), np.array([], dtype=int), "no predictions"),
        (np.full((1, 2), 0.5), np.array([2]), "2 classes"),
        (np.full((1, 2), 0.5), np.array([-1]), "from -1"),
        (np.array([[0.5, 0.5], [np.nan, 1.0]]), np.array([0, 0]), "row 1"),
        (np.array([[np.inf, 0.0]]), np.array([0]), "row 0"),
        (np.array([[1.5, -0.5]]), np.array([0]), "non-negative"),
        (np.array([[3.2, -1.0]]), np.array([0]), "sum to one"),
    ],
)
@pytest.mark.parametrize(
    "metric", [accuracy, correctness, *(metric.compute for metric in METRICS.values())]
)
def test_invalid_predictions_are_refused(
    metric: Callable[[np.ndarray, np.ndarray], object],
    probabilities: np.ndarray,
    labels: np.ndarray,
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        metric(probabilities, labels)


def test_the_first_row_that_is_not_a_distribution_is_named() -> None:
    rows = np.full((4, 2), 0.5, dtype=np.float32)
    assert find_fault(rows) is None
    softmax = np.exp(np.random.default_rng(0).normal(0, 10, (5000, 10)).astype(np.float32))
    assert find_fault((softmax / softmax.sum(axis=1, keepdims=True)).astype(np.float16)) is None
    faults: list[tuple[list[float], str]] = [
        ([0.5, np.nan], "are not all finite"),
        ([1.25, -0.25], "contain -0.25, which is negative"),
        ([3, 0.5], "sum to 3.5, not to 1"),
        ([0, 0], "sum to 0, not to 1"),
        ([0.502, 0.5], "sum to 1.002, not to 1"),
    ]
    for row, fault in faults:
        rows[2] = row
        assert find_fault(rows) == (2, fault)
    rows[2] = [0.5005, 0.5]
    assert find_fault(rows) is None


def test_every_metric_is_a_row() -> None:
    probabilities, labels = np.eye(3, dtype=np.float32), np.arange(3)
    best = {name: metric.compute(probabilities, labels) for name, metric in METRICS.items()}
    assert best == {"macro_f1": 1.0, "log_loss": 0.0}
    assert [metric.heading for metric in METRICS.values()] == ["Macro F1", "Log loss"]
    assert [metric.text(0.98765) for metric in METRICS.values()] == ["0.9877", "0.988"]


ADDED = """
import sys
from sklearn.metrics import cohen_kappa_score
from fittingroom.evaluation.metrics import METRICS, Metric

def kappa(probabilities, labels):
    return float(cohen_kappa_score(labels, probabilities.argmax(axis=1)))

METRICS["kappa"] = Metric(kappa, "Cohen's kappa", 3, "cohen_kappa")
from fittingroom import report
report(sys.argv[1]).save(sys.argv[2], "html,md,csv,json")
"""


def test_a_metric_is_a_function_and_a_row(compared_runs: Path, tmp_path: Path) -> None:
    """Every table has it then: the page, Markdown, CSV and JSON."""
    command = [sys.executable, "-c", ADDED, str(compared_runs), str(tmp_path)]
    subprocess.run(command, check=True)
    board = json.loads((tmp_path / "leaderboard.json").read_text("utf8"))
    figures = [row["test"]["kappa"] for row in board["rows"] if row["test"]]
    assert all(-1 < figure < 1 for figure in figures)
    lines = list(csv.DictReader((tmp_path / "leaderboard.csv").read_text("utf8").splitlines()))
    assert [float(line["test_kappa"]) for line in lines if line["test_kappa"]] == figures
    table = (tmp_path / "leaderboard.md").read_text("utf8")
    assert "| Cohen's kappa |" in table
    assert f"| {figures[0]:.3f} |" in table
    page = (tmp_path / "report.html").read_text("utf8")
    assert '<th scope="col" class="number">Cohen&#39;s kappa</th>' in page
    assert f'<td class="number">{figures[0]:.3f}</td>' in page


def test_balanced_accuracy_equals_scikit_learns() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3], [300, 40, 20, 2])
    probabilities = random.dirichlet(np.ones(4), len(labels))
    expected = sklearn.metrics.balanced_accuracy_score(labels, probabilities.argmax(axis=1))
    assert balanced_accuracy(probabilities, labels) == pytest.approx(expected)
