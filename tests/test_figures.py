"""`fittingroom.figures`: plots for notebooks and papers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from fittingroom import figures
from fittingroom.bench.comparison.analysis import Analysis, analyse
from fittingroom.data.dataset import Dataset
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store


@pytest.fixture(scope="module")
def analysis(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Of two models, one of them a network."""
    store = open_store(tmp_path_factory.mktemp("runs"), small)
    fit(spec_of(small, "logistic"), small, store)
    fit(spec_of(small, "mlp-10-10", settings={"epochs": 2}), small, store)
    return analyse(store, small)


def drawn(name: str, analysis: Analysis) -> Figure:
    """What a reader of the results would write."""
    plot: Callable[..., Figure] = getattr(figures, name)
    network = next(model for model in analysis.models.values() if model.history)
    if name == "confusion":
        return plot(network.confusion, analysis.board.class_names)
    if name == "learning_curves":
        return plot(network.history, network.kept_epoch)
    if name == "reliability_diagram":
        return plot(network.calibration)
    return plot(analysis.board)


@pytest.mark.parametrize("name", figures.__all__)
def test_each_plot_takes_a_result_and_can_be_saved(
    name: str, analysis: Analysis, tmp_path: Path
) -> None:
    figure = drawn(name, analysis)
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_the_surest_mistakes_are_wrong_and_sure(
    analysis: Analysis,
) -> None:
    model = analysis.models["logistic"]
    positions = analysis.surest_mistakes("logistic", at_most=5)
    predicted = model.probabilities.argmax(axis=1)
    assert len(positions) == 5
    assert (predicted[positions] != analysis.labels[positions]).all()
    confidence = model.probabilities.max(axis=1)
    wrong = confidence[predicted != analysis.labels]
    assert sorted(confidence[positions], reverse=True) == sorted(wrong, reverse=True)[:5]
