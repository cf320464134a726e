from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from fittingroom.bench.comparison.analysis import Calibration, EpochFigures
from fittingroom.evaluation.calibration import reliability
from fittingroom.evaluation.conformal import set_coverage
from fittingroom.reporting import model_figures


def history(*validation: float | None) -> list[EpochFigures]:
    return [
        EpochFigures(
            epoch=number,
            train_loss=1 / number,
            train_accuracy=1 - 0.5 / number,
            validation_loss=loss,
            validation_accuracy=None if loss is None else 1 - loss,
        )
        for number, loss in enumerate(validation, 1)
    ]


def x_of(line: Line2D) -> list[float]:
    return [*map(float, np.asarray(line.get_xdata()))]


def y_of(line: Line2D) -> list[float]:
    return [*map(float, np.asarray(line.get_ydata()))]


def rectangles(axes: Axes) -> list[Rectangle]:
    """The patches, all of which are rectangles."""
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(bars) == len(axes.patches)
    return bars


def test_curves_show_training_validation_and_the_kept_epoch() -> None:
    figure = model_figures.learning_curves(history(0.5, 0.2, 0.3), 2)
    loss, accuracy = figure.axes
    train, validation, kept = loss.lines
    assert y_of(train) == [1, 1 / 2, 1 / 3]
    assert y_of(validation) == [0.5, 0.2, 0.3]
    assert x_of(kept) == [2, 2]
    np.testing.assert_allclose(y_of(accuracy.lines[1]), [50, 80, 70])
    assert [text.get_text() for text in loss.texts] == ["kept: 2"]


def test_curves_without_validation() -> None:
    figure = model_figures.learning_curves(history(None, None), None)
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]
    (curve,) = model_figures.learning_curves(history(None), None).axes[0].lines
    assert curve.get_marker() == "o"  # a single point has no line


def test_reliability_shows_non_empty_bins() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.45, 0.55]])
    bins = reliability(probabilities, np.array([0, 1, 0, 1]), bins=4)
    sets = set_coverage(np.ones((4, 2), bool), np.array([0, 1, 0, 1]))
    figure = model_figures.reliability_diagram(Calibration(1.5, 4, bins, bins, sets, None))
    upper = figure.axes[0]
    np.testing.assert_allclose(x_of(upper.lines[1]), [57.5, 85])
    np.testing.assert_allclose(y_of(upper.lines[1]), [100, 50])
    assert "at temperature 1.50" in figure.axes[1].get_title()
    shares = [bar.get_height() for bar in rectangles(figure.axes[2])]
    assert shares == [0, 0, 50, 50]
