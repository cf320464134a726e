"""The style of all figures, and their conversion to inline SVG.

Blue and vermilion are distinguishable with any kind of colour vision (Okabe and Ito 2008).
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from io import StringIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fittingroom.formatting import shorten
from fittingroom.reporting.page import FigureCard

INK, MUTED, GRID = "#1c212b", "#666e7d", "#d9dde4"
BLUE, ORANGE, ON_DARK, PAPER = "#0072b2", "#d55e00", "#fefefe", "#fdfdfd"

#: Beside the colours of classes, since not everybody can distinguish ten.
CLASS_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "*", "<", ">")

#: Inches of a chart: narrow enough to be legible on a phone without scrolling.
WIDTH = 6.2
_RASTER = 160  # dots per inch of rasterised parts, which have too many points for vector shapes
# A page with a dark mode can't use fixed colours: its style sheet defines these variables.
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    ON_DARK: "var(--on-blue)",
    PAPER: "var(--paper)",
}
# Otherwise matplotlib's own defaults: a matplotlibrc in the working folder may change anything,
# for example typeset text with TeX. Only the backend is the caller's choice.
_DEFAULTS = {
    name: value
    for name, value in dict.items(mpl.rcParamsDefault)
    if name.split(".")[0] not in ("backend", "backend_fallback", "interactive", "toolbar", "webagg")
}
STYLE: dict[Any, Any] = {
    **_DEFAULTS,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "figure.dpi": 72,  # so that a point is a pixel, in SVG and where labels are placed
    "font.size": 11,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "image.composite_image": False,  # else the images of one axes become a single large one
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "US$ or A$"
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.color": GRID,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
}


def label_rows(axes: Axes, names: Sequence[str], at_most: int = 40) -> None:
    """Label the lines at y = 0, 1, … with names, the first on top, and draw a vertical grid."""
    axes.set_yticks(range(len(names)), shorten(names, at_most))
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def log_ticks(low: float, high: float) -> list[float]:
    """A few round numbers for a logarithmic axis from `low` to `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5)):
        numbers = [float(f"{digit}e{power}") for power in powers for digit in digits]
        within = [number for number in numbers if low <= number <= high]
        if len(within) > 2:
            return within
    near = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(number) for number in near if low <= number <= high]


def draw(
    title: str,
    figure: Figure,
    label: str,
    caption: str,
    *,
    finding: str = "",
    has_images: bool = False,
) -> FigureCard:
    """A figure for a page; `label` describes it to screen readers."""
    return FigureCard(title, inline_svg(figure, label), caption, finding, has_images)


def inline_svg(figure: Figure, label: str) -> Markup:
    """The figure as an `<svg>` element for a page, with `label` for screen readers.

    The same figure always gives the same text. Colours are CSS variables (`--ink`, `--muted`,
    `--grid`, `--blue`, `--orange`, `--on-blue`), and text stays text in the page's own font.
    """
    # The style again, since matplotlib creates some ticks only when it draws.
    settings: dict[Any, Any] = {**STYLE, "svg.fonttype": "none", "svg.hashsalt": label}
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context(settings), StringIO() as buffer, warnings.catch_warnings():
        # matplotlib only measures the text; the page's font has glyphs that its own lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)  # once; savefig would draw the figure one more time for it
            figure.set_layout_engine("none")
        figure.savefig(buffer, format="svg", metadata=no_metadata, dpi=_RASTER)
        text = buffer.getvalue()
    text = text[text.index("<svg") :]
    view = re.search(r'viewBox="([^"]*)"', text)
    assert view is not None
    body = text[text.index(">") + 1 :]
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)  # it would apply to the page
    # Only within tags: the text between them holds names, which may look like anything.
    body = re.sub(r"<[^>]*>", lambda tag: _restyle(tag[0]), body)
    wide, least = _widths(float(view[1].split()[2]))
    return Markup(
        f'<svg viewBox="{view[1]}" style="--wide:{wide:.4g}rem;--least:{least:.4g}rem" role="img" '
        f'aria-label="{escape(label)}">{body.strip()}'
    )


def _restyle(tag: str) -> str:
    """A tag of matplotlib's with the page's fonts and colours."""
    # Numbered ids would repeat from figure to figure; those that are referenced carry the salt.
    tag = re.sub(r' id="[\w.]+_\d+"', "", tag).replace("xlink:href", "href")
    tag = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", tag)
    tag = re.sub(r"font-family: [^;\"]*;?", "", tag)
    for color, variable in _VARIABLES.items():
        tag = tag.replace(color, variable)
    return tag


def _widths(pixels: float) -> tuple[float, float]:
    """Width on a page of a figure `pixels` wide, and its minimum width, both in rem.

    All figures have the same scale, so that text in small ones isn't larger; wide ones scroll
    rather than shrink until the text is illegible.
    """
    legible = 0.8 * pixels / 16
    wide = max(min(54.0, 54 * pixels / 604.8), legible)
    return wide, legible
