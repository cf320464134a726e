"""Names, numbers and times as short text for tables, figures and messages."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

#: Seconds from which a duration is told in days.
_DAYS = 48 * 3600


def shorten(names: Sequence[str], at_most: int = 22) -> list[str]:
    """Cut names to `at_most` cells of a terminal, of which a wide character takes two.

    Names that would look the same after the cut keep their ends as well.
    """
    cut = [_cut(name, at_most) for name in names]
    counts = Counter(cut)
    return [
        _cut(name, at_most, at_most // 2) if counts[short] > 1 and short != name else short
        for name, short in zip(names, cut, strict=True)
    ]


def _cut(name: str, at_most: int, end: int = 0) -> str:
    """Cut a name to `at_most` cells, the last `end` of which are the end of the name."""
    if cell_len(name) <= at_most:
        return name
    lengths = range(len(name), -1, -1)
    head = next(name[:n] for n in lengths if cell_len(name[:n]) < at_most - end)
    tail = next(name[len(name) - n :] for n in lengths if cell_len(name[len(name) - n :]) <= end)
    return f"{head}…{tail}"


def format_signed(number: float, digits: int, plus: str = "+") -> str:
    """Format a difference with its sign; one that rounds to zero has none."""
    text = f"{abs(number):.{digits}f}"
    if not text.strip("0."):
        return text
    return f"{'-' if number < 0 else plus}{text}"


def duration(seconds: float | None) -> str:
    """Format a duration in at most two units: "0.4 s", "12 s", "2 h 10 min", "3 d 4 h"."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds < 0.95 else f"{seconds:.1f} s".replace(".0 s", " s")
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return _two_units(rounded, 60, "min", "s")
    if rounded < _DAYS:
        return _two_units(round(rounded / 60), 60, "h", "min")
    return _two_units(round(rounded / 3600), 24, "d", "h")


def _two_units(count: int, unit: int, large: str, small: str) -> str:
    first, second = divmod(count, unit)
    return f"{first} {large} {second} {small}" if second else f"{first} {large}"


def with_tilde(path: Path | str) -> str:
    """The path with `~` for the home folder, as it is shown to people."""
    text, home = str(path), os.path.expanduser("~")
    return f"~{text[len(home) :]}" if text.startswith(home + os.sep) else text


def short_path(path: Path) -> Path:
    """The path, relative to the working folder if it lies below it."""
    path, here = path.resolve(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
