from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import numpy as np

from fittingroom.bench.comparison.analysis import Analysis, Calibration, EpochFigures
from fittingroom.evaluation.calibration import reliability
from fittingroom.evaluation.conformal import set_coverage
from fittingroom.models.layers import layers_of
from fittingroom.reporting.model_plots import blocks_of, curves, reliability_plots


def points_of(svg: str) -> list[list[tuple[float, ...]]]:
    """The points of each line, in percent of the area."""
    lines = ElementTree.fromstring(svg).iter("polyline")
    return [
        [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        for line in lines
    ]


def test_curves_show_training_validation_and_the_kept_epoch(compared: Analysis) -> None:
    model = next(model for model in compared.models.values() if len(model.history) > 1)
    loss, accuracy = curves(dataclasses.replace(model, kept_epoch=2))
    for svg in (loss, accuracy):
        assert [len(line) for line in points_of(svg)] == [len(model.history)] * 2
        assert "kept: 2" in svg
    validation = [y for _, y in points_of(accuracy)[1]]
    values = [row.validation_accuracy or 0 for row in model.history]
    assert int(np.argmin(validation)) == int(np.argmax(values)), "y grows downwards"


def test_curves_without_validation_and_with_values_that_are_not_finite(compared: Analysis) -> None:
    model = next(iter(compared.models.values()))
    one = EpochFigures(1, 0.5, 0.5, None, None)
    loss, _ = curves(dataclasses.replace(model, history=(one,), kept_epoch=None))
    assert [len(line) for line in points_of(loss)] == [1]
    diverged = dataclasses.replace(one, train_loss=float("inf"))
    plots = curves(dataclasses.replace(model, history=(diverged,), kept_epoch=None))
    assert len(plots) == 1, "a loss that isn't finite can't be drawn; the accuracy can"


def test_reliability_shows_the_bins_that_have_images() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.45, 0.55]])
    bins = reliability(probabilities, np.array([0, 1, 0, 1]), bins=4)
    sets = set_coverage(np.ones((4, 2), bool), np.array([0, 1, 0, 1]))
    before, after = reliability_plots("a", Calibration(1.5, 4, bins, bins, sets, None), 3)
    diagonal, accuracy = points_of(before)
    assert diagonal[0][0] == 0
    np.testing.assert_allclose([x for x, _ in accuracy], [57.5, 85])
    np.testing.assert_allclose([y for _, y in accuracy], [100 - 100 / 1.02, 100 - 50 / 1.02], 1e-3)
    assert "at temperature 1.50" in after
    assert before.count("<circle") == 2
    assert 'data-view="images?model=3&amp;from=75&amp;to=100"' in before
    assert before.count("<rect") == 4


def test_blocks_are_as_high_as_their_feature_maps() -> None:
    layers = layers_of("cnn", {"features": (32, "pool", 64), "hidden": (16,)}, (28, 28), 10)
    blocks = blocks_of(layers)
    assert [block.height for block in blocks][:2] == [3 * 13, 3 * 11]
    assert blocks[0].width < blocks[1].width
    assert all(block.width > 0 and block.height > 0 for block in blocks)
