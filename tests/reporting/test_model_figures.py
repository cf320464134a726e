from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from fittingroom.bench.study import Calibration, EpochFigures, Study
from fittingroom.data.dataset import Dataset
from fittingroom.evaluation.calibration import reliability
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


def test_curves_show_both_parts_and_the_epoch_that_was_kept() -> None:
    figure = model_figures.learning_curves(history(0.5, 0.2, 0.3), 2)
    loss, accuracy = figure.axes
    train, validation, kept = loss.lines
    assert list(train.get_ydata()) == [1, 1 / 2, 1 / 3]
    assert list(validation.get_ydata()) == [0.5, 0.2, 0.3]
    assert list(kept.get_xdata()) == [2, 2]
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [50, 80, 70])
    assert [text.get_text() for text in loss.texts] == ["kept: 2"]


def test_curves_without_validation_show_the_training_alone() -> None:
    figure = model_figures.learning_curves(history(None, None), None)
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]
    (alone,) = model_figures.learning_curves(history(None), None).axes[0].lines
    assert alone.get_marker() == "o"  # one point makes no line


def test_reliability_shows_the_bins_that_have_images() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.45, 0.55]])
    bins = reliability(probabilities, np.array([0, 1, 0, 1]), bins=4)
    figure = model_figures.reliability_diagram(Calibration(1.5, bins, bins))
    upper = figure.axes[0]
    np.testing.assert_allclose(upper.lines[1].get_xdata(), [57.5, 85])
    np.testing.assert_allclose(upper.lines[1].get_ydata(), [100, 50])
    assert "at temperature 1.50" in figure.axes[1].get_title()
    shares = [bar.get_height() for bar in figure.axes[2].patches]
    assert shares == [0, 0, 50, 50]


@pytest.mark.parametrize("examples", [False, True])
def test_a_histogram_a_class(examples: bool) -> None:
    matrix = ConfusionMatrix(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    images = [np.zeros((4, 4), np.uint8), None, None] if examples else []
    figure = model_figures.class_histograms(matrix, ["a", "b", "c" * 30], images)
    histograms = [axes for axes in figure.axes if axes.patches]
    assert len(figure.axes) == 3 + examples
    assert [axes.get_title() for axes in histograms] == [
        "a\nF1 0.857",
        "b\nF1 0.889",
        "cccccccccc…\nF1 –",
    ]
    first = histograms[0].patches
    assert [bar.get_width() for bar in first] == [75, 25, 0]
    assert to_hex(first[0].get_facecolor()) == style.RIGHT
    assert to_hex(first[1].get_facecolor()) == style.WRONG


@pytest.mark.parametrize("images", [False, True])
def test_bars_of_some_images(images: bool) -> None:
    probabilities = np.array([[0.1, 0.65, 0.25], [0.5, 0.3, 0.2]])
    shown = [np.zeros((4, 4), np.uint8)] * 2 if images else []
    figure = model_figures.probability_bars(
        probabilities, [2, 0], ["a", "b", "c"], shown, ["7", "1,234"]
    )
    bars = [axes for axes in figure.axes if axes.patches]
    assert len(figure.axes) == 2 + 2 * images
    assert [axes.get_title() for axes in bars] == ["7", "1,234"]
    np.testing.assert_allclose([bar.get_width() for bar in bars[0].patches], [10, 65, 25])
    colors = [[to_hex(bar.get_facecolor()) for bar in axes.patches] for axes in bars]
    assert [each.index(style.RIGHT) for each in colors] == [2, 0]


def test_every_network_of_the_study_can_be_drawn(compared: Study) -> None:
    drawn = [model for model in compared.models.values() if model.layers]
    assert len(drawn) == 3
    for model in drawn:
        (axes,) = model_figures.architecture(model.layers).axes
        assert len(axes.patches) == len(axes.texts) >= 3
        low, high = axes.get_ylim()
        for block in axes.patches:
            assert low <= block.get_y() <= block.get_y() + block.get_height() <= high


def test_blocks_are_as_high_as_their_maps() -> None:
    layers = layers_of("cnn", {"features": (32, "pool", 64), "hidden": (16,)}, (28, 28), 10)
    (axes,) = model_figures.architecture(layers).axes
    assert [block.get_height() for block in axes.patches][:2] == [13, 11]
    assert axes.texts[0].get_text() == "Stem 32×13×13"


def test_the_small_data_set_has_an_example_of_each_class(compared: Study, small: Dataset) -> None:
    from fittingroom.reporting.model_section import _examples

    found = _examples(compared, small)
    assert len(found) == 10
    assert all(image is not None and image.shape == (28, 28) for image in found)
    assert _examples(compared, None) == []
