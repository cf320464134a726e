from __future__ import annotations

import json

import numpy as np

from fittingroom.json_text import json_text


def test_a_missing_figure_is_null() -> None:
    figures = {"a": (1.0, float("nan")), "b": [{"c": np.float64("inf")}], "d": None, "e": "NaN"}
    text = json_text(figures)
    assert json.loads(text) == {"a": [1.0, None], "b": [{"c": None}], "d": None, "e": "NaN"}
    assert text.endswith("}\n")
