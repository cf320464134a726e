from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from fittingroom.formatting import duration, format_signed, shorten, with_tilde


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (None, ""),
        (0.0, "0 s"),
        (0.0412, "0.041 s"),
        (0.97, "1 s"),
        (3.14, "3.1 s"),
        (9.97, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (95, "1 min 35 s"),
        (3599.7, "1 h"),
        (8100, "2 h 15 min"),
        (47.9 * 3600, "47 h 54 min"),
        (200_000, "2 d 8 h"),
        (40 * 24 * 3600, "40 d"),
    ],
)
def test_durations(seconds: float | None, says: str) -> None:
    assert duration(seconds) == says


def test_names_are_cut_to_terminal_cells() -> None:
    assert shorten(["short", "c" * 30], 11) == ["short", "cccccccccc…"]
    wide = "\u9577\u3044\u540d\u524d"  # four characters, two cells each
    assert shorten([wide], 8) == [wide]
    assert shorten([wide], 7) == [f"{wide[:3]}…"]
    assert cell_len(shorten([wide * 9], 22)[0]) <= 22


def test_names_with_the_same_start_stay_distinct() -> None:
    names = [f"a name as long as this, number {n}" for n in range(3)]
    cut = shorten(names, 22)
    assert len(set(cut)) == 3
    assert all(name.endswith(f"number {n}") for n, name in enumerate(cut))
    assert max(map(cell_len, cut)) <= 22


@pytest.mark.parametrize(
    ("number", "says"),
    [(0.0, "0.0"), (-0.04, "0.0"), (0.04, "0.0"), (-0.05001, "-0.1"), (3, "+3.0")],
)
def test_a_number_that_rounds_to_zero_has_no_sign(number: float, says: str) -> None:
    assert format_signed(number, 1) == says


def test_the_home_folder_is_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert with_tilde(Path("/home/me/data")) == "~/data"
    assert with_tilde("/home/mean/data") == "/home/mean/data"
    assert with_tilde("/home/me") == "/home/me"
