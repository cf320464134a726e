from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from fittingroom.bench.comparison.analysis import Analysis, Calibration, EpochFigures
from fittingroom.evaluation.calibration import reliability
from fittingroom.evaluation.conformal import set_coverage
from fittingroom.evaluation.confusion import ConfusionMatrix
from fittingroom.models.layers import layers_of
from fittingroom.reporting import model_figures, style


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


def panels_of(axes: Axes) -> Iterator[tuple[list[float], list[str]]]:
    """For each panel its bars from the top: lengths in percent of the panel, and colours."""
    (lines,) = (c for c in axes.collections if isinstance(c, LineCollection))
    for (left, bottom), (right, _) in lines.get_segments():
        bars = [
            bar
            for bar in rectangles(axes)
            if left - 1e-6 <= bar.get_x() <= right and 0 < bar.get_y() - bottom < 1.5
        ]
        assert [bar.get_y() for bar in bars] == sorted((b.get_y() for b in bars), reverse=True)
        lengths = [100 * bar.get_width() / (right - left) for bar in bars]
        yield lengths, [to_hex(bar.get_facecolor()) for bar in bars]


@pytest.mark.parametrize("examples", [False, True])
def test_one_histogram_per_class(examples: bool) -> None:
    matrix = ConfusionMatrix(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    images = [np.zeros((4, 4), np.uint8), None, None] if examples else []
    (axes,) = model_figures.class_histograms(matrix, ["a", "b", "c" * 30], images).axes
    assert len(axes.images) == examples
    texts = [text.get_text() for text in axes.texts]
    assert {"a\nF1 0.857", "b\nF1 0.889", "cccccccccc…\nF1 –"} < set(texts)
    lengths, colors = zip(*panels_of(axes), strict=True)
    np.testing.assert_allclose(lengths, [[75, 25, 0], [0, 100, 0], [0, 0, 0]])
    for label, panel in enumerate(colors):
        assert [color == style.BLUE for color in panel] == [i == label for i in range(3)]
        assert set(panel) == {style.BLUE, style.ORANGE}


@pytest.mark.parametrize("images", [False, True])
def test_probability_bars(images: bool) -> None:
    """Six images, in two rows of panels."""
    probabilities = np.array([[0.1, 0.65, 0.25], [0.5, 0.3, 0.2], *[[0.2, 0.3, 0.5]] * 4])
    shapes = [(4, 4), (4, 8), (8, 4), (4, 40), (4, 4), (4, 4)]  # one wider than its panel
    examples = [np.zeros(shape, np.uint8) for shape in shapes] if images else []
    titles = ["7", "1,234", "8", "9", "10", "11"]
    figure = model_figures.probability_bars(
        probabilities, [2, 0, 0, 0, 0, 1], ["a", "b", "c"], examples, titles
    )
    (axes,) = figure.axes
    lengths, colors = zip(*panels_of(axes), strict=True)
    np.testing.assert_allclose(lengths, 100 * probabilities)
    assert [panel.index(style.BLUE) for panel in colors] == [2, 0, 0, 0, 0, 1]
    positions = {text.get_text(): text.get_position() for text in axes.texts}
    assert [title for title in positions if title in titles] == titles
    assert positions["7"][1] == positions["10"][1] > positions["11"][1]
    assert positions["7"][0] == positions["11"][0] < positions["1,234"][0]
    for title, shape, image in zip(titles, shapes, axes.images, strict=images):
        left, right, bottom, top = image.get_extent()
        assert (left + right) / 2 == pytest.approx(positions[title][0])
        assert (right - left) / (top - bottom) == pytest.approx(shape[1] / shape[0])
        assert right - left < positions["1,234"][0] - positions["7"][0]
        assert bottom > positions[title][1]


def test_every_network_of_a_comparison_can_be_drawn(compared: Analysis) -> None:
    networks = [model for model in compared.models.values() if model.layers]
    assert len(networks) == 3
    for model in networks:
        (axes,) = model_figures.architecture(model.layers).axes
        assert len(axes.patches) == len(axes.texts) >= 3
        low, high = axes.get_ylim()
        for block in rectangles(axes):
            assert low <= block.get_y() <= block.get_y() + block.get_height() <= high


def test_blocks_are_as_high_as_their_feature_maps() -> None:
    layers = layers_of("cnn", {"features": (32, "pool", 64), "hidden": (16,)}, (28, 28), 10)
    (axes,) = model_figures.architecture(layers).axes
    assert [block.get_height() for block in rectangles(axes)][:2] == [13, 11]
    assert axes.texts[0].get_text() == "Stem 32×13×13"
