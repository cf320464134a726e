"""The page of a leaderboard: one HTML file that opens from disk and fetches nothing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fittingroom.bench.cells import duration
from fittingroom.reporting import figures, words
from fittingroom.reporting.words import summary
from fittingroom.runs.store import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fittingroom.bench.leaderboard import Leaderboard, Row

__all__ = ["Picture", "render", "summary", "write_report"]


@dataclass(frozen=True)
class Picture:
    """An `<svg>` element and what stands around it: what it shows above, how to read it below."""

    title: str
    svg: Markup
    caption: str
    finding: str = ""


def render(leaderboard: Leaderboard) -> str:
    """The whole page. The same leaderboard gives the same text, to the byte."""
    return (
        _environment()
        .get_template("report.html")
        .render(
            board=leaderboard,
            summary=summary(leaderboard),
            pictures=_pictures(leaderboard),
            css=Markup(files(__package__).joinpath("templates/report.css").read_text("utf8")),
        )
    )


def write_report(leaderboard: Leaderboard, path: Path) -> Path:
    """Write the page aside and rename it into place. Raises StoreError where that fails."""
    return write_text(path, render(leaderboard))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fittingroom.reporting"),
        autoescape=True,  # names of models and classes come from users
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent,
        points=_points,
        count=lambda number: f"{number:,}",
        microseconds=lambda time: f"{time:.1f}" if time < 9.95 else f"{time:,.0f}",
        duration=duration,
        fitted=words.fitted,
        p_value=_p_value,
    )
    return environment


def _pictures(leaderboard: Leaderboard) -> list[Picture]:
    tested = [row for row in leaderboard.rows if row.test is not None]
    if not tested:
        return []
    pictures = [
        _picture(
            "Accuracy, with what chance leaves open",
            figures.accuracy_intervals(leaderboard),
            f"Test accuracy with 95% intervals: {_spoken(tested)}.",
            "The line is the 95% interval. Blue: the first model and those that can't be told "
            "apart from it. Intervals that overlap decide nothing: models are compared image by "
            "image, which tells more.",
        )
    ]
    against_time = figures.accuracy_against_time(leaderboard)
    if against_time:
        timed = [row for row in tested if row.fit_seconds is not None]
        pictures.append(
            _picture(
                "Accuracy against the time to fit",
                against_time,
                f"Test accuracy and time to fit: {_spoken_times(timed)}.",
                "Blue: no faster model has reached that accuracy. Vertical lines are the 95% "
                "intervals; the time axis is logarithmic.",
            )
        )
    best = tested[0].model
    if best in leaderboard.confusions:
        matrix = leaderboard.confusions[best]
        sentence = matrix.hardest_sentence(leaderboard.class_names)
        pictures.append(
            _picture(
                f"What {best} takes for what",
                figures.confusion(matrix, leaderboard.class_names),
                f"Confusion matrix of {best}. {sentence}",
                "Each line is a true class: the share of its images by predicted class, in percent"
                f"{', mean over seeds' if tested[0].seeds > 1 else ''}. Blue is right.",
                finding=sentence,
            )
        )
    return pictures


def _picture(title: str, figure: Figure, label: str, caption: str, *, finding: str = "") -> Picture:
    return Picture(title, figures.inline_svg(figure, label), caption, finding)


def _spoken(rows: list[Row]) -> str:
    return "; ".join(
        f"{row.model} {_percent(row.test.accuracy)} ({_points(row.test.ci95)})"
        for row in rows
        if row.test
    )


def _spoken_times(rows: list[Row]) -> str:
    return "; ".join(
        f"{row.model} {_percent(row.test.accuracy)} in {duration(row.fit_seconds)}"
        for row in rows
        if row.test
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _points(ends: tuple[float, float]) -> str:
    """Two shares as an interval in percent; "to" where a minus sign would meet the dash."""
    low, high = (f"{100 * end:.2f}".replace("-", "−") for end in ends)
    return f"{low} to {high}" if min(ends) < 0 else f"{low}–{high}"


def _p_value(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"
