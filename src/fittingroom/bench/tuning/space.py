"""Search spaces: a range or a choice for each parameter that is searched, and fixed settings.

Written as ``learning_rate=1e-4..1e-1:log``, ``max_depth=18..39``, ``batch_size=64|128``, and
``epochs=3`` for a setting that is the same in every trial.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from fittingroom.errors import UsageError
from fittingroom.models.settings import is_setting, text_of, value_of
from fittingroom.untrusted import read_toml

Number = int | float

_RANGE = re.compile(r"(?P<low>[^:]+?)\.\.(?P<high>[^:]*)(?P<options>(?::[^:]*)*)")
#: Significant digits of a suggested number: more make no difference and are hard to read.
DIGITS = 4
#: Most points of a grid; nobody would wait for more fits.
MAX_POINTS = 100_000


@dataclass(frozen=True, kw_only=True)
class Range:
    """All numbers from `low` to `high`; only integers if both ends and the step are integers.

    `log` samples uniformly on a log scale; `step` allows only low, low + step, …
    """

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    @property
    def whole(self) -> bool:
        ends = (self.low, self.high, self.step or 1)
        return all(isinstance(end, int) for end in ends)

    def value(self, suggested: Any) -> Any:
        """The setting for a suggested number: rounded, and clipped to the ends."""
        if self.whole:
            return int(suggested)
        return min(max(float(f"{suggested:.{DIGITS}g}"), self.low), self.high)

    @property
    def count(self) -> int | None:
        """The number of values, None if it is infinite."""
        if self.whole:
            return int(self.high - self.low) // int(self.step or 1) + 1
        if self.step is None:
            return None
        return math.floor(min((self.high - self.low) / self.step, MAX_POINTS) + 1e-9) + 1

    def grid(self) -> list[Any]:
        """Every value."""
        step = self.step or 1
        return [self.value(self.low + number * step) for number in range(self.count or 0)]

    def probes(self) -> list[Any]:
        """Values to check the range with."""
        return [self.low, self.high]

    def __str__(self) -> str:
        options = ["log"] * self.log + ([text_of(self.step)] if self.step is not None else [])
        return ":".join([f"{text_of(self.low)}..{text_of(self.high)}", *options])


@dataclass(frozen=True)
class Choice:
    """One of several unordered values."""

    options: tuple[Any, ...]

    def value(self, suggested: Any) -> Any:
        """The option with this text."""
        return self.options[self.texts.index(suggested)]

    @property
    def texts(self) -> list[str]:
        """The options as text, which a database can store and tell apart."""
        return [text_of(option) for option in self.options]

    @property
    def count(self) -> int:
        """How many options there are."""
        return len(self.options)

    def grid(self) -> list[Any]:
        """Every option, as text."""
        return list(self.texts)

    def probes(self) -> list[Any]:
        return list(self.options)

    def __str__(self) -> str:
        return "|".join(self.texts)


Dimension = Range | Choice


@dataclass(frozen=True, kw_only=True)
class Space:
    """The dimensions of a search by parameter, and settings that are the same in every trial."""

    dimensions: Mapping[str, Dimension]
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.dimensions:
            raise UsageError("there is nothing to search; give a range such as C=0.01..10:log.")

    def settings(self, suggested: Mapping[str, Any]) -> dict[str, Any]:
        """All settings of a trial, fixed ones included."""
        chosen = {name: dim.value(suggested[name]) for name, dim in self.dimensions.items()}
        return {**self.fixed, **chosen}

    def with_fixed(self, fixed: Mapping[str, Any]) -> Space:
        """The space with these settings fixed instead of searched."""
        dimensions = {name: dim for name, dim in self.dimensions.items() if name not in fixed}
        return Space(dimensions=dimensions, fixed={**self.fixed, **fixed})

    def grid(self) -> list[dict[str, Any]]:
        """Every point, as suggestions; their order doesn't depend on how the space was written.

        Raises
        ------
        UsageError : a range is infinite, or there are more than `MAX_POINTS` points
        """
        points = 1
        for name, dimension in self.dimensions.items():
            if dimension.count is None:
                raise UsageError(
                    f"a grid can't hold every value of {name}={dimension}; give a step "
                    f"({name}=LOW..HIGH:STEP) or values ({name}=A|B|C)."
                )
            points *= dimension.count
            if points > MAX_POINTS:
                raise UsageError(
                    f"the grid has more than {MAX_POINTS:,} points, of which {name}={dimension} "
                    f"has {dimension.count:,} values; give a larger step or fewer values."
                )
        values = {name: dim.grid() for name, dim in sorted(self.dimensions.items())}
        return [dict(zip(values, point, strict=True)) for point in product(*values.values())]

    def probes(self) -> Iterator[tuple[str, Any]]:
        """Name and value pairs that check every dimension."""
        for name, dimension in self.dimensions.items():
            for value in dimension.probes():
                yield name, value

    def to_dict(self) -> dict[str, str]:
        """Each dimension as text."""
        return {name: str(dimension) for name, dimension in self.dimensions.items()}


def parse_space(written: Mapping[str, Any]) -> Space:
    """Parse a space.

    Parameters
    ----------
    written : by parameter: text as on the command line, a list of values to choose from, or a
        single value, which is fixed

    Raises
    ------
    UsageError : a range or a choice is invalid, or there is nothing to search
    """
    dimensions, fixed = parse_dimensions(written)
    return Space(dimensions=dimensions, fixed=fixed)


def parse_dimensions(written: Mapping[str, Any]) -> tuple[dict[str, Dimension], dict[str, Any]]:
    """Parse what is written into dimensions and fixed settings. Raises UsageError."""
    parsed = {name: _parse(name, value) for name, value in written.items()}
    dimensions = {n: p for n, p in parsed.items() if isinstance(p, Range | Choice)}
    return dimensions, {n: p for n, p in parsed.items() if n not in dimensions}


def read_space(path: Path) -> Space:
    """Read a space from a TOML file: one line per parameter, such as ``C = "1e-4..1e-1:log"``.

    Raises
    ------
    UsageError : the file can't be read, or its content is invalid
    """
    written = read_toml(path, UsageError)
    tables = [name for name, value in written.items() if isinstance(value, dict)]
    try:
        if tables:
            raise UsageError(f"{tables[0]!r} is a table; a space has one line per parameter.")
        return parse_space(written)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _parse(name: str, written: Any) -> Any:
    if isinstance(written, list):
        return _choice(name, written)
    if not isinstance(written, str):
        return _single(name, written)
    if (match := _RANGE.fullmatch(written.strip())) is not None:
        return _range(name, written, match)
    if "|" in written:
        return _choice(name, [value_of(part.strip()) for part in written.split("|")])
    return _single(name, value_of(written))


def _range(name: str, written: str, match: re.Match[str]) -> Range:
    low, high = (_number(name, written, match[end]) for end in ("low", "high"))
    log, step = False, None
    for option in match["options"].split(":")[1:]:
        if option.strip() == "log":
            log = True
        else:
            step = _number(name, written, option)
    _require(name, written, low < high, "its low end must be below its high end")
    _require(name, written, step is None or step > 0, "its step must be above 0")
    _require(name, written, not log or low > 0, "a logarithmic range must begin above 0")
    _require(name, written, not (log and step), "it can be logarithmic or have a step, not both")
    return Range(low=low, high=high, log=log, step=step)


def _number(name: str, written: str, text: str) -> Number:
    value = value_of(text.strip())
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    _require(name, written, is_number, f"{text.strip()!r} is not a number")
    return value  # type: ignore[no-any-return]


def _choice(name: str, options: list[Any]) -> Choice:
    choice = Choice(tuple(options))
    written = str(choice)
    _require(name, written, len(options) > 0, "there is nothing to choose from")
    _require(name, written, "" not in options, "an option is empty")
    _require(name, written, len({*choice.texts}) == len(options), "an option is repeated")
    for option in options:
        _single(name, option)
    return choice


def _single(name: str, value: Any) -> Any:
    if not is_setting(value):  # a TOML file may have other types
        shown = "" if isinstance(value, int) else f"={value!s:.100}"  # may be too long to print
        raise UsageError(f"{name}{shown}: give finite numbers, words, or tuples of them.")
    return value


def _require(name: str, written: str, holds: bool, otherwise: str) -> None:
    if not holds:
        raise UsageError(
            f"{name}={written}: {otherwise}. Write LOW..HIGH, LOW..HIGH:log, LOW..HIGH:STEP or "
            "A|B|C."
        )
