"""Plots as SVG that take the width they get, without a script.

Positions are percentages of the plotted area, so that they stretch with it; text, markers and
strokes keep their sizes. Colours are the page's CSS variables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from fittingroom.reporting.label_offsets import Box, place_labels

#: The area in pixels for which labels are placed, that of a phone; a wider one only spreads them.
NARROW = 300
#: Pixels of a label's text: its height, and the mean width of a character.
_TEXT, _CHARACTER = 11, 6.2


@dataclass(frozen=True)
class Axis:
    """What an axis shows, from `low` to `high`, and its ticks by their text."""

    label: str
    low: float
    high: float
    ticks: dict[str, float]
    is_log: bool = False

    def percent(self, value: float) -> float:
        """The position of a value, in percent of the way from `low` to `high`."""
        scale: Callable[[float], float] = math.log10 if self.is_log else float
        low, high = scale(self.low), scale(self.high)
        return 100 * (scale(value) - low) / (high - low)


def linear_axis(
    label: str, values: Sequence[float], *, margin: float = 0.06, zero: bool = False
) -> Axis:
    """An axis that holds all values, with round ticks; from zero with `zero`.

    `margin` is the share of their range that is left free at each end.
    """
    low, high = min(values), max(values)
    if zero:
        low = min(low, 0.0)
    space = (high - low) * margin or abs(high) * margin or 1.0
    low, high = low - space * (not zero), high + space
    step = _round_step((high - low) / 6)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = {f"{step * i:.{digits}f}".replace("-", "−"): step * i for i in range(first, last + 1)}
    return Axis(label, low, high, ticks)


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9))


class Plot:
    """An area with two axes, to which marks are added."""

    def __init__(self, x: Axis, y: Axis, *, height: int = 260) -> None:
        self.x, self.y, self.height = x, y, height
        self._marks: list[Markup] = []
        self._points: list[tuple[float, float, float, float]] = []  # x, y, low and high in pixels

    def line(self, x: Sequence[float], y: Sequence[float], kind: str) -> None:
        """A line through points; `kind` is a class of the style sheet."""
        points = " ".join(
            f"{self.x.percent(a):.2f},{100 - self.y.percent(b):.2f}"
            for a, b in zip(x, y, strict=True)
        )
        self._marks.append(
            Markup(
                '<svg viewBox="0 0 100 100" preserveAspectRatio="none" class="stretched">'
                '<polyline class="{}" points="{}"/></svg>'
            ).format(kind, points)
        )

    def point(
        self,
        x: float,
        y: float,
        kind: str,
        *,
        tip: str,
        view: str = "",
        ends: tuple[float, float] | None = None,
    ) -> None:
        """A marker, with a vertical line between `ends`; `tip` says what it stands for.

        `view` is the part of the page's address that shows what is behind it.
        """
        left, top = self.x.percent(x), 100 - self.y.percent(y)
        low, high = (100 - self.y.percent(end) for end in ends or (y, y))
        self._points.append((left, top, low, high))
        bar = Markup('<line x1="{0:.2f}%" x2="{0:.2f}%" y1="{1:.2f}%" y2="{2:.2f}%"/>').format(
            left, low, high
        )
        marker = Markup('<circle cx="{:.2f}%" cy="{:.2f}%" r="4.5"/>').format(left, top)
        self._marks.append(
            Markup('<g class="{}" data-tip="{}" data-view="{}">{}{}</g>').format(
                kind, tip, view, bar if ends else "", marker
            )
        )

    def bar(self, x: tuple[float, float], y: float, kind: str) -> None:
        """A bar from zero to `y`, from one position on the x axis to another."""
        left, right = map(self.x.percent, x)
        top = 100 - self.y.percent(y)
        self._marks.append(
            Markup(
                '<rect class="{}" x="{:.2f}%" y="{:.2f}%" width="{:.2f}%" height="{:.2f}%"/>'
            ).format(kind, left, top, right - left, 100 - self.y.percent(0) - top)
        )

    def upright(self, x: float, kind: str, text: str = "") -> None:
        """A vertical line across the area, with a text above it."""
        left = self.x.percent(x)
        anchor = "end" if left > 80 else "start" if left < 20 else "middle"
        self._marks.append(
            Markup(
                '<line class="{0}" x1="{1:.2f}%" x2="{1:.2f}%" y1="0" y2="100%"/>'
                '<text class="muted" x="{1:.2f}%" y="-6" text-anchor="{2}">{3}</text>'
            ).format(kind, left, anchor, text)
        )

    def name_points(self, names: Sequence[str]) -> None:
        """Write each point's name beside it, where it covers least of the other marks."""
        scale = np.array([NARROW / 100, self.height / 100] + 2 * [self.height / 100])
        points = np.array(self._points) * scale
        inside = Box(0, 0, NARROW, self.height)
        widths = [_CHARACTER * len(name) for name in names]
        for name, place, point in zip(
            names, place_labels(points, widths, _TEXT, inside), self._points, strict=True
        ):
            self._marks.append(
                Markup(
                    '<text class="halo" x="{:.2f}%" y="{:.2f}%" dx="{}" dy="{}" '
                    'text-anchor="{}">{}</text>'
                ).format(point[0], point[1], place.dx, place.dy + 4, place.anchor, name)
            )

    def svg(self, label: str) -> Markup:
        """The plot as an `<svg>` element; `label` describes it to screen readers."""
        across = [
            Markup(
                '<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="100%"/>'
                '<text class="muted" x="{0:.2f}%" y="100%" dy="18" text-anchor="middle">{1}</text>'
            ).format(self.x.percent(value), text)
            for text, value in self.x.ticks.items()
        ]
        up = [
            Markup(
                '<line class="grid" x1="0" x2="100%" y1="{0:.2f}%" y2="{0:.2f}%"/>'
                '<text class="muted" x="-8" y="{0:.2f}%" dy="4" text-anchor="end">{1}</text>'
            ).format(100 - self.y.percent(value), text)
            for text, value in self.y.ticks.items()
        ]
        titles = Markup(
            '<text class="muted" x="100%" y="100%" dy="36" text-anchor="end">{}</text>'
            '<text class="muted" x="-40" y="-22">{}</text>'
        ).format(self.x.label, self.y.label)
        return Markup(
            '<svg class="plot" role="img" aria-label="{}" style="height:{}px">{}</svg>'
        ).format(label, self.height, Markup("").join([*across, *up, titles, *self._marks]))
