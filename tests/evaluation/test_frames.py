from __future__ import annotations

import sys

import pytest

from fittingroom.errors import UsageError
from fittingroom.evaluation.frames import frame


def test_each_mapping_is_a_row() -> None:
    rows = ({"model": name, "n": n} for name, n in (("a", 1), ("b", 2)))
    table = frame(rows, index="model")
    assert table.index.tolist() == ["a", "b"]
    assert table.to_dict() == {"n": {"a": 1, "b": 2}}
    assert frame([{"n": 1}]).index.tolist() == [0]


def test_without_pandas_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="install it with `pip install pandas`, or use to_dict"):
        frame([])
