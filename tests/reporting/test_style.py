from __future__ import annotations

from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from fittingroom.reporting import style
from fittingroom.reporting.style import INK, STYLE, inline_svg, log_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-5, 0.2, [1e-5, 1e-4, 1e-3, 1e-2, 0.1]),
        (3e-4, 1e-2, [3e-4, 1e-3, 3e-3, 1e-2]),
        (0.2, 16, [0.3, 1, 3, 10]),
        (1, 10, [1, 3, 10]),
        (1.5, 9, [2, 4, 6, 8]),
        (12.7431, 17.3, [14, 16]),
        (0.00031, 0.00033, [0.000315, 0.00032, 0.000325, 0.00033]),
    ],
)
def test_a_logarithmic_axis_has_a_few_round_numbers(
    low: float, high: float, ticks: list[float]
) -> None:
    assert log_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("pixels", "wide", "least"),
    [(604.8, 54, 30.24), (302.4, 27, 15.12), (1080, 54, 54), (2160, 108, 108)],
)
def test_text_has_the_same_size_in_small_and_large_figures(
    pixels: float, wide: float, least: float
) -> None:
    svg = style.inline_svg(Figure(figsize=(pixels / 72, 3)), "x")
    assert f'style="--wide:{wide}rem;--least:{least}rem"' in svg


def test_missing_glyphs_do_not_warn() -> None:
    figure = Figure()
    figure.text(0.5, 0.5, "\u9577\u3044")
    assert "\u9577\u3044" in style.inline_svg(figure, "x")


def test_names_are_not_restyled() -> None:
    """Even if they look like the fonts and colours that matplotlib writes."""
    names = ["font: 12px bold", INK, "font-family: x;", 'a id="b_1" xlink:href="c"']
    figure = Figure()
    with mpl.rc_context(STYLE):
        axes = figure.add_subplot()
        for position, name in enumerate(names):
            axes.text(0.1, 0.2 * position, name)
    svg = str(inline_svg(figure, "names"))
    root = ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '))
    shown = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in shown if text in names] == names
