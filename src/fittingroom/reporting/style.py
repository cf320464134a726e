"""How every picture looks, and how one becomes SVG text for a page.

Blue and vermilion are told apart with any kind of colour vision (Okabe and Ito 2008).
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

from fittingroom.formatting import shortened

INK, MUTED, GRID = "#1c212b", "#666e7d", "#d9dde4"
RIGHT, WRONG, ON_DARK, PAPER = "#0072b2", "#d55e00", "#fefefe", "#fdfdfd"

#: Classes by colour and by form, since ten colours can't be told apart by everyone. The colours
#: (after Tol 2021, "Colour Schemes", the bright one) stand out from a dark page and from a light.
CLASS_COLORS = (
    *("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee"),
    *("#aa3377", "#8a8a8a", "#994f00", "#8566c9", "#e66100"),
)
CLASS_MARKERS = ("o", "s", "^", "v", "D", "P", "X", "*", "<", ">")

_RASTER = 160  # dots an inch of what is too many points to be drawn as shapes
# A page that has a dark mode can't use fixed colours: its style sheet gives these their values.
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    RIGHT: "var(--blue)",
    WRONG: "var(--orange)",
    ON_DARK: "var(--on-blue)",
    PAPER: "var(--paper)",
}
# All else as matplotlib has it: a matplotlibrc in the working folder may say anything, as that TeX
# sets the letters. Only where figures are shown is left to the program.
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
    "figure.dpi": 72,  # so that a point is a pixel, in SVG as in label_points
    "font.size": 11,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "image.composite_image": False,  # else images of one pair of axes become one large one
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "US$ or A$"
    "xtick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.color": GRID,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
}


def one_below_another(axes: Axes, names: Sequence[str], at_most: int = 40) -> None:
    """Lines 0, 1, … of a picture with their names, the first on top, and a grid along them."""
    axes.set_yticks(range(len(names)), shortened(names, at_most))
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
    return [low, high]


def inline_svg(figure: Figure, label: str) -> Markup:
    """The figure as an `<svg>` element for a page, with `label` for those who can't see it.

    The same figure always gives the same text. Colours are CSS variables (`--ink`, `--muted`,
    `--grid`, `--blue`, `--orange`, `--on-blue`), and text stays text in the page's own font.
    """
    # The style again, since matplotlib makes some ticks only as it draws.
    settings: dict[Any, Any] = {**STYLE, "svg.fonttype": "none", "svg.hashsalt": label}
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context(settings), StringIO() as buffer, warnings.catch_warnings():
        # The page's own font has signs that matplotlib, which only measures, has not.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)  # once; left to itself it draws the figure once more for that
            figure.set_layout_engine("none")
        figure.savefig(buffer, format="svg", metadata=nothing, dpi=_RASTER)
        text = buffer.getvalue()
    text = text[text.index("<svg") :]
    view = re.search(r'viewBox="([^"]*)"', text)
    assert view is not None
    body = text[text.index(">") + 1 :]
    # Numbered names would repeat from figure to figure; what is referred to carries the salt.
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)  # it would be the page's too
    # Within tags alone: between them stand names, which may look like anything.
    body = re.sub(r"<[^>]*>", lambda tag: _for_a_page(tag[0]), body)
    wide, least = _widths(float(view[1].split()[2]))
    return Markup(
        f'<svg viewBox="{view[1]}" style="--wide:{wide:.4g}rem;--least:{least:.4g}rem" role="img" '
        f'aria-label="{escape(label)}">{body.strip()}'
    )


def _for_a_page(tag: str) -> str:
    """A tag of matplotlib's with the page's own fonts and colours."""
    tag = re.sub(r' id="[\w.]+_\d+"', "", tag).replace("xlink:href", "href")
    tag = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", tag)
    tag = re.sub(r"font-family: [^;\"]*;?", "", tag)
    for color, variable in _VARIABLES.items():
        tag = tag.replace(color, variable)
    return tag


def _widths(pixels: float) -> tuple[float, float]:
    """How wide a picture of so many pixels is on a page, and how narrow it may become, in rem.

    All pictures have the same scale, so that letters in small ones aren't larger; wide ones are
    scrolled before their letters can't be read.
    """
    legible = 0.8 * pixels / 16
    wide = max(min(54.0, 54 * pixels / 604.8), legible)
    return wide, max(min(32.0, wide), legible)
