"""Rendering of pages: each is one self-contained HTML file that fetches nothing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fittingroom.bench.comparison.cells import rank
from fittingroom.evaluation.metrics import METRICS
from fittingroom.formatting import duration, format_signed
from fittingroom.javascript import inline_modules
from fittingroom.reporting import words


def render_page(template: str, script: str = "page.js", **values: Any) -> str:
    """Render a template with its style and a script of `scripts/` inline.

    Equal values give equal text.
    """
    folder = files(__package__)
    return (
        _environment()
        .get_template(template)
        .render(
            css=Markup(folder.joinpath("templates/page.css").read_text("utf-8")),
            script=Markup(inline_modules(folder / "scripts", script)),
            **values,
        )
    )


@dataclass(frozen=True)
class FigureCard:
    """An `<svg>` element with a finding above it and a caption, how to read it, below.

    `has_images` if it holds images of the data, which a dark page shows light on black.
    """

    title: str
    svg: Markup
    caption: str
    finding: str = ""
    has_images: bool = False


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def points(interval: tuple[float, float] | None) -> str:
    """An interval in percent; with "to" instead of a dash beside a minus sign."""
    if interval is None:
        return "unknown"
    low, high = (format_signed(100 * end, 2, "").replace("-", "−") for end in interval)
    return f"{low} to {high}" if "−" in low + high else f"{low}–{high}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fittingroom.reporting"),
        autoescape=True,  # names of models and classes come from users
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["metrics"] = METRICS
    environment.filters.update(
        percent=percent,
        points=points,
        count=lambda number: f"{number:,}",
        microseconds=lambda time: f"{time:.1f}" if time < 9.95 else f"{time:,.0f}",
        duration=duration,
        signed=lambda number, digits: format_signed(number, digits).replace("-", "−"),
        fitted=words.fit_count,
        p_value=words.p_value,
        rank=lambda row: rank(row).replace("-", "–"),
    )
    return environment
