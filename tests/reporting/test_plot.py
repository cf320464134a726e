from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from fittingroom.reporting.plot import Axis, Plot, linear_axis


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([84.6, 95.9], ["85", "90", "95"]),
        ([90.0, 90.0], ["86", "88", "90", "92", "94"]),
        ([0.0, 0.0], ["−1.0", "−0.5", "0.0", "0.5", "1.0"]),
        ([0.21, 0.96], ["0.2", "0.4", "0.6", "0.8", "1.0"]),
    ],
)
def test_an_axis_has_round_ticks_and_holds_its_values(
    values: list[float], ticks: list[str]
) -> None:
    axis = linear_axis("x", values)
    assert [*axis.ticks] == ticks
    assert axis.low < min(values)
    assert max(values) < axis.high
    assert all(0 <= axis.percent(value) <= 100 for value in [*axis.ticks.values(), *values])


def test_a_logarithmic_axis_is_linear_in_the_logarithm() -> None:
    axis = Axis("seconds", 1, 100, {}, is_log=True)
    assert [axis.percent(value) for value in (1, 10, 100)] == pytest.approx([0, 50, 100])


def test_marks_are_where_their_values_are() -> None:
    """In percent of the area, with y growing downwards."""
    plot = Plot(Axis("x", 0, 10, {"5": 5.0}), Axis("y", 0, 4, {}), height=100)
    plot.point(5, 1, "blue", tip="<a>", ends=(0, 2))
    plot.line([0, 10], [4, 0], "dashed")
    plot.bar((0, 5), 2, "gray")
    plot.upright(2, "dotted", "kept: 2")
    plot.name_points(["a & b"])
    svg = plot.svg('the "label"')
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == 'the "label"'
    (circle,) = root.iter("circle")
    assert (circle.attrib["cx"], circle.attrib["cy"]) == ("50.00%", "75.00%")
    (group,) = (g for g in root.iter("g") if g.attrib["class"] == "blue")
    assert group.attrib["data-tip"] == "<a>"
    assert group[0].attrib["y1"] == "100.00%"
    assert group[0].attrib["y2"] == "50.00%"
    (polyline,) = root.iter("polyline")
    assert polyline.attrib["points"] == "0.00,0.00 100.00,100.00"
    (bar,) = root.iter("rect")
    assert bar.attrib["height"] == "50.00%"
    texts = [element.text for element in root.iter("text")]
    assert texts == ["5", "x", "y", "kept: 2", "a & b"]


def test_a_plot_has_no_width_of_its_own() -> None:
    svg = Plot(Axis("x", 0, 1, {}), Axis("y", 0, 1, {})).svg("plot")
    assert not re.search(r"<svg[^>]* (width|viewBox)=", svg)
