from __future__ import annotations

import numpy as np
import pytest

from fittingroom.reporting.time_axis import pareto_front, short_time


@pytest.mark.parametrize(
    ("seconds", "text"), [(1.0, "1 s"), (1e-3, "1 ms"), (1e-5, "10 µs"), (1e-7, "100 ns")]
)
def test_short_times_have_round_units(seconds: float, text: str) -> None:
    assert short_time(seconds) == text


def test_no_faster_model_reaches_what_the_front_does() -> None:
    times, means = np.array([1.0, 2.0, 3.0, 3.0]), np.array([80.0, 90.0, 90.0, 95.0])
    assert pareto_front(times, means) == [True, True, False, True]
