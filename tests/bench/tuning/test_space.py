from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fittingroom.bench.tuning.space import Choice, Range, Space, parse_space, read_space
from fittingroom.errors import UsageError


@pytest.mark.parametrize(
    ("written", "dimension"),
    [
        ("1e-4..1e-1:log", Range(low=1e-4, high=1e-1, log=True)),
        ("18..39", Range(low=18, high=39)),
        ("50..200:50", Range(low=50, high=200, step=50)),
        ("-1.5..2", Range(low=-1.5, high=2)),
        ("0..0.5:0.1", Range(low=0, high=0.5, step=0.1)),
        ("64|128", Choice((64, 128))),
        ("none|crop-flip", Choice((None, "crop-flip"))),
        ("(64,)|(128, 64)", Choice(((64,), (128, 64)))),
        ([1, "b"], Choice((1, "b"))),
    ],
)
def test_dimensions_are_parsed(written: Any, dimension: Range | Choice) -> None:
    space = parse_space({"x": written, "epochs": "3"})
    assert space.dimensions == {"x": dimension}
    assert space.fixed == {"epochs": 3}
    again = parse_space({"x": space.to_dict()["x"]})
    assert again.dimensions == space.dimensions


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("3..1", "low end must be below"),
        ("1..1", "low end must be below"),
        ("1..", "'' is not a number"),
        ("a..b", "'a' is not a number"),
        ("true..2", "'true' is not a number"),
        ("1..inf", "'inf' is not a number"),
        ("0..1:log", "must begin above 0"),
        ("1..10:log:2", "not both"),
        ("1..10:0", "step must be above 0"),
        ("1..10:lin", "'lin' is not a number"),
        ("64|", "an option is empty"),
        ("64|64", "is repeated"),
        ([], "nothing to choose from"),
        ("0.01|1e999", "rate=inf: give finite numbers"),
        ("1e999", "rate=inf: give finite numbers"),
        ([1.0, [float("-inf")]], "give finite numbers"),
        (date(2018, 1, 1), "rate=2018-01-01: give finite numbers"),
    ],
)
def test_invalid_values_are_rejected(written: Any, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as refused:
        parse_space({"rate": written})
    assert "rate=" in str(refused.value)


def test_an_empty_space_is_rejected() -> None:
    with pytest.raises(UsageError, match="nothing to search"):
        parse_space({"epochs": "3"})
    with pytest.raises(UsageError, match="nothing to search"):
        parse_space({"epochs": "3..5"}).with_fixed({"epochs": 4})


def test_fixed_parameters_are_not_searched() -> None:
    space = parse_space({"a": "1..3", "b": "1|2", "c": 5}).with_fixed({"b": 7})
    assert list(space.dimensions) == ["a"]
    assert space.settings({"a": 2}) == {"a": 2, "b": 7, "c": 5}


def test_suggestions_become_settings() -> None:
    space = parse_space({"rate": "0.1..0.123456:log", "n": "1..9", "hidden": "(64,)|none"})
    settings = space.settings({"rate": 0.11111111, "n": 3, "hidden": "(64,)"})
    assert settings == {"rate": 0.1111, "n": 3, "hidden": (64,)}
    assert isinstance(settings["n"], int)
    # Rounded, but never past the ends.
    assert space.settings({"rate": 0.123456, "n": 3, "hidden": "none"})["rate"] <= 0.123456


def test_a_grid_holds_every_point() -> None:
    points = parse_space({"a": "1..5:2", "b": "x|none", "c": "0..0.3:0.1"}).grid()
    assert len(points) == 3 * 2 * 4
    assert points[0] == {"a": 1, "b": "x", "c": 0.0}
    assert points[-1] == {"a": 5, "b": "none", "c": 0.3}
    assert points == parse_space({"c": "0..0.3:0.1", "b": "x|none", "a": "1..5:2"}).grid()
    with pytest.raises(UsageError, match="can't hold every value of rate"):
        parse_space({"rate": "0.1..1:log"}).grid()


def test_a_file_has_one_line_per_parameter(tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text('learning_rate = "1e-4..1e-1:log"\nbatch_size = [64, 128]\nepochs = 5\n')
    space = read_space(file)
    assert space == Space(
        dimensions={
            "learning_rate": Range(low=1e-4, high=0.1, log=True),
            "batch_size": Choice((64, 128)),
        },
        fixed={"epochs": 5},
    )


@pytest.mark.parametrize("text", ["x = ", "[learning_rate]\nlow = 1\n", "\x00", 'x = "1..0"'])
def test_a_file_that_is_not_a_space_is_rejected(tmp_path: Path, text: str) -> None:
    file = tmp_path / "space.toml"
    file.write_text(text)
    with pytest.raises(UsageError):
        read_space(file)
    with pytest.raises(UsageError, match="can't be read"):
        read_space(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    "written",
    [
        {"a": "1..1000000000"},
        {"a": "0.0..1.0:1e-300"},
        {"a": "-9e307..9e307:1e-300"},
        dict.fromkeys("abc", "1..1000"),
        {"a": "1..100000", "b": "x|y"},
    ],
)
def test_a_grid_with_too_many_points_is_rejected(written: dict[str, str]) -> None:
    began = time.perf_counter()
    with pytest.raises(UsageError, match="more than 100,000 points, of which"):
        parse_space(written).grid()
    assert time.perf_counter() - began < 1
