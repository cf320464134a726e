from __future__ import annotations

import pytest

from fittingroom.reporting.style import log_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-5, 0.2, [1e-5, 1e-4, 1e-3, 1e-2, 0.1]),
        (3e-4, 1e-2, [3e-4, 1e-3, 3e-3, 1e-2]),
        (0.2, 16, [0.3, 1, 3, 10]),
        (1, 10, [1, 3, 10]),
        (1.5, 9, [1.5, 9]),
    ],
)
def test_a_logarithmic_axis_has_a_few_round_numbers(
    low: float, high: float, ticks: list[float]
) -> None:
    assert log_ticks(low, high) == pytest.approx(ticks)
