from __future__ import annotations

import pytest

from fittingroom.cli.options import parse_duration, parse_settings, parse_size
from fittingroom.errors import UsageError


def test_durations_and_sizes() -> None:
    assert [parse_duration(t) for t in ("90", "90s", "10m", "1.5h", "none")] == [
        *(90, 90, 600, 5400, None)
    ]
    assert [parse_size(t) for t in ("1k", "500M", "8G", "8GiB", "8gb", "none")] == [
        *(1024, 500 * 2**20, 8 * 2**30, 8 * 2**30, 8 * 2**30, None)
    ]


@pytest.mark.parametrize("text", ["", "0", "-1", "m", "1y", "1.m", "ten"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration(text)


def test_settings_become_values() -> None:
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
