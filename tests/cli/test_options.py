from __future__ import annotations

import contextlib

import pytest

from fittingroom.bench.tuning.space import parse_space
from fittingroom.cli.options import parse_duration, parse_settings, parse_size
from fittingroom.data.dataset import Dataset
from fittingroom.errors import FittingroomError, UsageError
from fittingroom.models.catalog import MODELS
from fittingroom.models.making import classifier_of
from fittingroom.runs.spec import spec_of


def test_durations_and_sizes() -> None:
    assert [parse_duration(t) for t in ("90", "90s", "10m", "1.5h", "none")] == [
        *(90, 90, 600, 5400, None)
    ]
    assert [parse_size(t) for t in ("1k", "500M", "8G", "8GiB", "8gb", "none")] == [
        *(1024, 500 * 2**20, 8 * 2**30, 8 * 2**30, 8 * 2**30, None)
    ]


@pytest.mark.parametrize("text", ["", "0", "-1", "m", "1y", "1.m", "ten"])
def test_invalid_durations_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="isn't a duration"):
        parse_duration(text)


def test_settings_are_parsed() -> None:
    settings = ["epochs=3", "rate=1e-3", "pooling=true", "keep=last", "patience=none"]
    assert parse_settings([*settings, "hidden=(10, 10)"]) == {
        "epochs": 3,
        "rate": 1e-3,
        "pooling": True,
        "keep": "last",
        "patience": None,
        "hidden": (10, 10),
    }
    for wrong in ("epochs", "=3"):
        with pytest.raises(UsageError):
            parse_settings([wrong])


#: Values typed by mistake, and hostile ones.
VALUES = (
    *("", "0", "-1", "1.5", "1e999", "nan", "inf", "9" * 30, "9" * 5000, "0x" + "f" * 30, "true"),
    *("none", "[]", "()", "(1,)", "[1,[2,[3]]]", "{}", "{1:2}", "'a'", "\ud800", "\0", "a\nb"),
    *("\x1b[2J", "b'x'", "1j", "...", "lambda: 1", "__import__('os')", "(" * 300, "[" * 5000),
    *("1" + "+1" * 2000, "-" * 3000 + "1", "10**10", "0.1|0.2", "1..3", "3..1", "1..1e9", "a|"),
    *("1..9" + "9" * 400, "0..1:log", "1..2:0", "1..2:-1", "1e308..1e309", "-inf..inf", "sgd"),
    *("(64,'pool',64)", "(0,)", "(-1,)", "(1e9,)", "(True,)", "((),)", "(1,'a',None,2.5)"),
)


@pytest.mark.parametrize(
    "model",
    ["logistic", "cnn-32", *(pytest.param(m, marks=pytest.mark.slow) for m in MODELS)],
)
def test_no_setting_fails_with_a_traceback(model: str, small: Dataset) -> None:
    """Every parameter of a model, set to anything."""
    for parameter in classifier_of(model, {}, dataset=small, random_state=0).get_params():
        for value in VALUES:
            with contextlib.suppress(FittingroomError):
                settings = parse_settings([f"{parameter}={value}"])
                spec_of(small, model, settings=settings)
    for value in VALUES:
        with contextlib.suppress(UsageError):
            parse_space({"x": value}).grid()
