from __future__ import annotations

import numpy as np
import pytest

from fittingroom.bench.claims.verdict import Bar
from fittingroom.evaluation.intervals import Interval
from fittingroom.reporting.claim_figure import claim_figure

BARS = (
    Bar(label="claimed", value=0.9759, interval=Interval(0.97585, 0.97595), is_claim=True),
    Bar(label="as claimed", value=0.976, interval=Interval(0.97, 0.982)),
    Bar(label="honest", value=0.867, interval=None),
)


def test_every_value_has_a_line() -> None:
    (axes,) = claim_figure(BARS).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        *("claimed", "as claimed", "honest")
    ]
    lines = [[*map(float, np.asarray(line.get_xdata()))] for line in axes.lines]
    assert lines[0] == pytest.approx([97.585, 97.595])
    assert lines[2] == pytest.approx([97.0, 98.2])
    assert lines[5] == pytest.approx([86.7])
    assert [text.get_text() for text in axes.texts] == ["97.59", "97.60", "86.70"]
    assert axes.lines[1].get_color() != axes.lines[3].get_color()
    assert axes.get_xlabel() == "accuracy, %"


def test_a_difference_is_in_percentage_points() -> None:
    (axes,) = claim_figure(BARS[:1], difference=True).axes
    assert axes.get_xlabel() == "difference in accuracy, points"
